"""
Where root's servers live: outside every home, because another user must be able to enter.

PostgreSQL refuses to run as root, and the user it runs as can neither enter a home below /root nor
run programs from there. So data and programs lie in a folder of their own, and no other folder's
mode or owner is ever changed.
"""

import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from pipelines.errors import StorageError
from pipelines.storage.local.account import Account
from pipelines.storage.local.lease import exclusive
from pipelines.storage.local.programs import Programs
from pipelines.storage.local.state import read_id, write_private

log = structlog.get_logger()

_NOT_NEEDED = shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgxs", "__pycache__")


@dataclass(frozen=True)
class NeutralRoot:
    """`<path>/<home id>/` belongs to one home, `<path>/<wheel>-<version>/` to all."""

    path: Path
    account: Account

    def folder(self, identity: str) -> Path:
        """The folder of a home."""
        return self.path / identity

    def is_of_another_home(self, identity: str, home: Path) -> bool:
        """Whether another home that still exists has this identity, so that ours is its copy."""
        owner = _recorded_home(self.folder(identity))
        if owner is None or owner == home or read_id(owner / "servers") != identity:
            return False
        return not owner.samefile(home)

    def prepare(self, identity: str, home: Path, is_running: Callable[[Path], bool]) -> None:
        """
        Make the folder of a home, and remove those of homes that are no more.

        Raises:
            StorageError: it cannot be made, or could not be entered by the servers' user.
        """
        self._open()
        with exclusive(self.path / ".lock"):
            self._claim(identity, home)  # first: a home that was moved is no orphan
            self._sweep(is_running)

    def copied(self, programs: Programs) -> Path:
        """The folder of the executables in a copy that the servers' user can run."""
        target = self.path / programs.label
        with exclusive(self.path / ".lock"):
            if not target.exists():
                self._copy(programs, target)
        return programs.under(target)

    def _open(self) -> None:
        for folder in [*reversed(self.path.parents), self.path]:
            if not folder.exists():
                _make_open_folder(folder)
            elif not folder.stat().st_mode & stat.S_IXOTH:
                raise StorageError(
                    f"the servers' user cannot enter {folder}: "
                    "set BOOKREC_LOCAL_SERVERS_ROOT to a folder that everyone can enter"
                )
        found = self.path.stat()
        if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise StorageError(
                f"others than root can write to {self.path}: "
                "set BOOKREC_LOCAL_SERVERS_ROOT to a folder of root's own"
            )

    def _claim(self, identity: str, home: Path) -> None:
        folder = self.folder(identity)
        if not folder.exists():
            made = _new_folder(self.path)
            write_private(made / "home", str(home))
            made.chmod(0o700)
            self.account.give(made)
            made.rename(folder)
        elif folder.stat().st_uid != self.account.uid:
            raise StorageError(
                f"{folder} belongs to another user: set BOOKREC_LOCAL_SERVERS_USER back to that one"
            )
        elif _recorded_home(folder) != home:  # the home was moved
            write_private(folder / "home", str(home))

    def _copy(self, programs: Programs, target: Path) -> None:
        made = _new_folder(self.path)
        for path in programs.needs:
            shutil.copytree(programs.site / path, made / path, ignore=_NOT_NEEDED)
        for path in [made, *made.rglob("*")]:
            runnable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runnable else 0o644)
        made.rename(target)
        log.info("server_programs_copied", folder=str(target))

    def _sweep(self, is_running: Callable[[Path], bool]) -> None:
        for folder in self.path.iterdir():
            home = _recorded_home(folder)
            if home is None or read_id(home / "servers") == folder.name or is_running(folder):
                continue
            shutil.rmtree(folder)
            log.info("orphaned_server_data_removed", folder=str(folder), home=str(home))


def _recorded_home(folder: Path) -> Path | None:
    try:
        return Path((folder / "home").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _new_folder(parent: Path) -> Path:
    """An empty folder to be renamed; under the lock, one that is there was left by a crash."""
    folder = parent / ".new"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    return folder


def _make_open_folder(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)  # whatever the umask is
