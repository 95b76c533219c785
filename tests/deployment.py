"""What tests of `docker/` share: the programs that judge its files, as the lock installs them."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"


def judged(program: str, *arguments: str, **variables: str) -> str:
    """What a program of this environment prints about files that it accepts."""
    ended = subprocess.run(
        [str(Path(sys.executable).parent / program), *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{program}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def install_debian(program: str, *packages: str) -> None:
    """Install Debian's packages where a program is missing; needs root then."""
    subprocess.run([ROOT / "tests" / "install_debian.sh", program, *packages], check=True)


def compose(*files: str, **variables: str) -> dict[str, Any]:
    """The stack as Docker Compose reads it: checked, merged and filled in, all profiles."""
    named = [part for file in files for part in ("-f", str(DOCKER / file))]
    printed = judged(
        "docker-compose", *named, "--profile", "*", "config", "--format", "json", **variables
    )
    found: dict[str, Any] = json.loads(printed)
    return found


def make_secrets() -> dict[str, Any]:
    """What `docker/make_secrets.py` defines; a package of PyPI is called `docker` too."""
    return runpy.run_path(str(DOCKER / "make_secrets.py"))
