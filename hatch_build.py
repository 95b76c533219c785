"""Compiles the kernels when the package is built, for wheels and editable installs alike."""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("pipelines/models/kernels/scoring.c")
FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-mcpu=baseline", "-shared", "-fPIC", "-s")
"""`baseline`, or the library would run on processors like this one alone."""


class KernelBuildHook(BuildHookInterface[Any]):
    """Zig comes as a wheel and holds a whole C compiler: nobody needs one of their own."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Put the library beside its source, and say that the wheel is for this platform alone."""
        library = SOURCE.with_suffix(".so")
        _compile(Path(self.root) / SOURCE, Path(self.root) / library)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(library.as_posix())


def _compile(source: Path, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent, prefix=".scoring-") as scratch:
        made = Path(scratch) / library.name
        caches = {f"ZIG_{which}_CACHE_DIR": scratch for which in ("GLOBAL", "LOCAL")}
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, str(source), "-o", str(made)]
        subprocess.run(command, env=os.environ | caches, check=True)
        made.replace(library)  # whoever has the old one mapped keeps it
