"""`bookrec up`: the whole local stack under one supervisor."""

import os
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from honcho import manager as honcho_manager
from honcho.manager import Manager
from honcho.printer import Printer
from rich.console import Console

from pipelines.errors import ConfigurationError, StorageError
from pipelines.processes import is_ready
from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.stack import (
    Program,
    airflow_database,
    airflow_environment,
    airflow_password_file,
    airflow_programs,
    api_program,
    following_source,
    mlflow_programs,
    worked_on,
)
from pipelines.storage.database import ensure_database
from pipelines.storage.services import environment, running_services

_READY_PATIENCE = 180


def supervise(settings: Settings, console: Console, *, reload: bool = False) -> int:
    """
    Start every program, print their addresses as they answer, and stop all on Ctrl-C.

    Args:
        settings: As configured.
        console: Where addresses are printed.
        reload: Whether they follow the source, for whoever works on it.

    Returns:
        0 after Ctrl-C or SIGTERM, else the exit code of the program that ended first.
    """
    # The scheduler needs longer than the default 5 s to let its workers go.
    honcho_manager.KILL_WAIT = 30
    with running_services(settings) as prepared:
        console.print("Preparing the databases of Airflow and MLflow …")
        prepare_airflow(prepared)
        # Once and first: the programs would otherwise race to set up MLflow's empty database.
        MlflowRegistry.from_settings(prepared).prepare()
        programs = [
            api_program(prepared),
            *mlflow_programs(prepared),
            *airflow_programs(prepared),
        ]
        if reload:
            api, *others = map(worked_on, programs)
            programs = [following_source(api), *others]
        _refuse_taken_ports(programs)
        log_file = settings.home / "logs" / "stack.log"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("a") as log:
            supervisor = Manager(Printer(log, colour=False))
            for program in programs:
                env = {**os.environ, **program.env}
                supervisor.add_process(program.name, f"exec {shlex.join(program.argv)}", env=env)
            console.print(f"Starting; the programs' output goes to {log_file}", soft_wrap=True)
            _announce_in_background(programs, prepared, console)
            supervisor.loop()
    interrupted = supervisor.returncode in {130, 143}
    if not interrupted:
        console.print(f"[red]A program ended by itself, so all were stopped: see {log_file}[/]")
    return 0 if interrupted else (supervisor.returncode or 1)


def _refuse_taken_ports(programs: list[Program]) -> None:
    for address in (urlsplit(p.address) for p in programs if p.address):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address.hostname, address.port))
            except OSError as error:
                raise ConfigurationError(
                    f"port {address.port} is taken: is the stack running already? Other ports "
                    "are set by BOOKREC_API__PORT and BOOKREC_STACK__MLFLOW_PORT or AIRFLOW_PORT"
                ) from error


def prepare_airflow(settings: Settings) -> None:
    ensure_database(airflow_database(settings))
    program = airflow_programs(settings)[0]
    env: Mapping[str, str] = os.environ | environment(settings) | airflow_environment(settings)
    command = [program.argv[0], "db", "migrate"]
    migrated = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if migrated.returncode:
        raise StorageError(f"Airflow's migration failed: {migrated.stderr.strip()[-500:]}")


def _announce_in_background(programs: list[Program], settings: Settings, console: Console) -> None:
    threading.Thread(target=_announce, args=(programs, settings, console), daemon=True).start()


def _announce(programs: list[Program], settings: Settings, console: Console) -> None:
    waiting = [p for p in programs if p.address]
    deadline = time.monotonic() + _READY_PATIENCE
    while waiting and time.monotonic() < deadline:
        for program in [p for p in waiting if is_ready(p)]:
            waiting.remove(program)
            console.print(f"[green]✓[/] {program.name:<8} {program.address}", soft_wrap=True)
        time.sleep(0.5)
    for program in waiting:
        console.print(f"[yellow]…[/] {program.name:<8} does not answer yet", soft_wrap=True)
    console.print(
        f"Airflow's user is admin, its password is in {airflow_password_file(settings)}.\n"
        "Ctrl-C stops everything.",
        soft_wrap=True,
    )
