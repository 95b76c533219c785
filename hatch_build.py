"""Compiles the kernels when the package is built, for wheels and editable installs alike."""

import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = Path("pipelines/models/kernels")
FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-shared", "-fPIC", "-s")


def _processors() -> dict[str, str]:
    """By library, what it is compiled for: any processor, and those of x86-64 since 2013."""
    libraries = {"scoring.so": "baseline"}
    if platform.machine().lower() in ("x86_64", "amd64"):
        libraries["scoring-v3.so"] = "x86_64_v3"
    return libraries


class KernelBuildHook(BuildHookInterface[Any]):
    """Zig comes as a wheel and holds a whole C compiler: nobody needs one of their own."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Put the libraries beside their source, and say what the wheel is for."""
        for name, processor in _processors().items():
            _compile(Path(self.root) / KERNELS / "scoring.c", name, processor)
            build_data["artifacts"].append((KERNELS / name).as_posix())
        platform_tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag}"


def _compile(source: Path, library: str, processor: str) -> None:
    with tempfile.TemporaryDirectory(dir=source.parent, prefix=".scoring-") as scratch:
        made = Path(scratch) / library
        caches = {f"ZIG_{which}_CACHE_DIR": scratch for which in ("GLOBAL", "LOCAL")}
        compiler = [sys.executable, "-m", "ziglang", "cc", *FLAGS, f"-mcpu={processor}"]
        subprocess.run(
            [*compiler, str(source), "-o", str(made)], env=os.environ | caches, check=True
        )
        made.replace(source.parent / library)  # whoever has the old one mapped keeps it
