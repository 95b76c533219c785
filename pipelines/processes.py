"""Run the programs of the local stack: one for the time of a block, or all until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from pipelines.errors import ServiceUnavailableError

if TYPE_CHECKING:
    from pipelines.stack import Program


def stop_on_sigterm() -> None:
    """Let SIGTERM end this process like an error does: through every `finally`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@contextmanager
def running(
    program: "Program", *, log_folder: Path, patience: float = 90
) -> Iterator[Callable[[], None]]:
    """
    Run a program for the time of the block; its output goes to `<log_folder>/<name>.log`.

    Yields:
        What to call to wait until it is ready. It raises ServiceUnavailableError if the program
        has ended, or is not ready within `patience` seconds.
    """
    log_folder.mkdir(parents=True, exist_ok=True)
    log_file = log_folder / f"{program.name}.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            program.argv,
            env={**os.environ, **program.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours to handle, not the program's
        )
    try:
        yield lambda: _wait_until_ready(program, process, log_file, patience)
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]", patience: float = 20) -> None:
    """End a program that leads a process group: politely, then not, and its workers with it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def is_ready(program: "Program") -> bool:
    """Whether the program's health address answers."""
    try:
        return program.health is None or httpx.get(program.health, timeout=2).is_success
    except httpx.HTTPError:
        return False


def _wait_until_ready(
    program: "Program", process: "subprocess.Popen[bytes]", log_file: Path, patience: float
) -> None:
    deadline = time.monotonic() + patience
    while not is_ready(program):
        if process.poll() is not None:
            raise ServiceUnavailableError(
                f"{program.name} ended with code {process.returncode}: see {log_file}"
            )
        if time.monotonic() > deadline:
            raise ServiceUnavailableError(
                f"{program.name} was not ready after {patience:.0f} s: see {log_file}"
            )
        time.sleep(0.2)
