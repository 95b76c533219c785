"""Whom the servers run as, and how programs are run as that user."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipelines.errors import StorageError

TIMEOUT_SECONDS = 120
# Nothing of the caller's environment: PGDATA, PGPORT and their like would steer the programs.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


@dataclass(frozen=True)
class Account:
    """A user of this machine; `uid` and `gid` are None where it is the one that runs this."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def unprivileged(cls, name: str) -> Self:
        """
        The user `name`, to whom root hands over.

        Raises:
            StorageError: there is no such user, or it is root again.
        """
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise StorageError(
                f"no user {name!r}: set BOOKREC_LOCAL_SERVERS_USER to an unprivileged one"
            ) from None
        if entry.pw_uid == 0:
            raise StorageError(
                f"PostgreSQL cannot run as {name}: set BOOKREC_LOCAL_SERVERS_USER to another user"
            )
        return cls(entry.pw_uid, entry.pw_gid)

    def give(self, path: Path) -> None:
        """Make this user the owner of what we just created; a link is not followed."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def run(self, command: list[str], *, cwd: Path, stdin: str = "") -> None:
        """
        Run a program to its end, in a session of its own so that Ctrl-C here spares it.

        Raises:
            StorageError: it failed, with the last line it wrote.
        """
        program = Path(command[0]).name
        try:
            done = subprocess.run(
                command,
                cwd=cwd,
                input=stdin,
                env=_ENVIRONMENT,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                umask=0o077,
                start_new_session=True,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise StorageError(f"{program} took over {TIMEOUT_SECONDS} s: see {cwd}") from None
        except OSError as error:
            raise StorageError(f"cannot run {program}: {error}") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
            raise StorageError(f"{program} failed: {said[-1]}")
