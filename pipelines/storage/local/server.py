"""What PostgreSQL and Valkey have in common: found, started, checked and stopped the same way."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import structlog

from pipelines.errors import StorageError
from pipelines.storage.local.account import Account
from pipelines.storage.local.programs import Programs
from pipelines.storage.local.state import Endpoint

log = structlog.get_logger()

ATTEMPTS = 4
SETTLE_SECONDS = 30.0
STOP_SECONDS = 20.0
_LOG_BYTES = 5_000_000
_PAUSE = 0.02


class LocalServer(ABC):
    """
    One server of one home.

    It counts as running only where a connection with our password succeeds and it says that it
    works in our folder. A process id is trusted only where that process's command line carries our
    tag, so a file left from before a reboot leads to nobody else's process.
    """

    title: ClassVar[str]
    key: ClassVar[str]
    """Its name in `servers.json` and its folder."""
    stop_signals: ClassVar[tuple[signal.Signals, ...]]
    """The polite one first."""

    def __init__(self, parent: Path, account: Account) -> None:
        self.folder = parent / self.key
        self.tag = f"bookrec-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]}"
        self._account = account
        self._seen: int | None = None

    @property
    @abstractmethod
    def pid_file(self) -> Path:
        """Where the server writes its process id."""

    @property
    def log_file(self) -> Path:
        """Where the server writes its log."""
        return self.folder / "server.log"

    @abstractmethod
    def url(self, endpoint: Endpoint) -> str:
        """The address for clients, with the password."""

    @abstractmethod
    def answers(self, endpoint: Endpoint) -> bool:
        """Whether our server, and no other, takes our password there."""

    @abstractmethod
    def programs(self) -> Programs:
        """Its executables, or StorageError where their wheel is missing."""

    @abstractmethod
    def has_data(self) -> bool:
        """Whether there is something that only the old password opens."""

    @abstractmethod
    def launch(self, endpoint: Endpoint, executables: Path) -> None:
        """Start it, which may fail with StorageError."""

    def process(self) -> int | None:
        """Its process id, if it has a process."""
        pid = _read_pid(self.pid_file) or self._seen
        return pid if pid is not None and self.tag in _command_line(pid) else None

    def runs_at(self, endpoint: Endpoint | None) -> bool:
        """Whether it answers there; if so, its process is remembered for `stop`."""
        if endpoint is None or not self.answers(endpoint):
            return False
        self._seen = self.process()
        return True

    def start(
        self, endpoint: Endpoint, executables: Path, remember: Callable[[Endpoint], None]
    ) -> None:
        """
        Start it unless it runs; `remember` is called before each attempt with where it will be.

        Raises:
            StorageError: it does not start; names the log.
        """
        attempt = 0
        while not self.settles(endpoint):
            attempt += 1
            endpoint = endpoint.on_free_port()
            remember(endpoint)
            try:
                self._launch(endpoint, executables)
            except StorageError:
                # Another process took the port, or a killed server's children are still ending.
                if attempt == ATTEMPTS:
                    raise
                time.sleep(0.5)

    def settles(self, endpoint: Endpoint) -> bool:
        """Whether it answers, once a start or stop that was left half done is over."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while not self.runs_at(endpoint):
            pid = self.process()
            if pid is None:
                return False
            if time.monotonic() > deadline:
                raise StorageError(
                    f"{self.title} (process {pid}) does not answer: see {self.log_file}, "
                    f"then end it with `kill -{self.stop_signals[0].name[3:]} {pid}`"
                )
            time.sleep(_PAUSE)
        return True

    def stop(self) -> bool:
        """
        End it and wait until it is gone; False where it did not run.

        Raises:
            StorageError: it does not end.
        """
        pid = self.process()
        if pid is None:
            return False
        for number in self.stop_signals:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            if self._is_gone(pid):
                log.info("local_server_stopped", server=self.title)
                return True
        raise StorageError(f"{self.title} (process {pid}) does not stop: see {self.log_file}")

    def last_words(self) -> str:
        """The last line of its log that says why, or the last line."""
        lines = self.log_file.read_text(errors="replace").splitlines() if self._has_log() else []
        reasons = [line for line in lines[-20:] if "FATAL:" in line] or lines[-1:]
        return reasons[-1].strip() if reasons else "it wrote no log"

    def _launch(self, endpoint: Endpoint, executables: Path) -> None:
        began = time.monotonic()
        self._make_folder()
        self.launch(endpoint, executables)
        if not self.runs_at(endpoint):
            raise StorageError(
                f"{self.title} does not answer: {self.last_words()} (log: {self.log_file})"
            )
        seconds = round(time.monotonic() - began, 2)
        log.info("local_server_started", server=self.title, port=endpoint.port, seconds=seconds)

    def _make_folder(self) -> None:
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            self._account.give(self.folder)
        if self._has_log() and self.log_file.stat().st_size > _LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))

    def _has_log(self) -> bool:
        return self.log_file.is_file() and not self.log_file.is_symlink()

    def _is_gone(self, pid: int) -> bool:
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if self.tag not in _command_line(pid):
                return True
            time.sleep(_PAUSE)
        return False


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text().split(maxsplit=1)[0])
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None


def _command_line(pid: int) -> str:
    """Empty where there is no such process, or it has ended and waits for its parent."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout
