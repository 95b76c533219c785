"""
The programs of the local stack, as command lines and environments.

Nothing of Airflow, BentoML or MLflow is imported here: each is a program of its own.
"""

import os
import secrets
import shlex
import socket
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.settings import Settings
from pipelines.storage.database import sibling
from pipelines.storage.services import environment

_AIRFLOW_USER = "admin"
_SOURCE = Path(__file__).parent.parent
_WORKED_ON = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONWARNINGS": "default",
}
"""What whoever works on the code wants to see at once, and else costs time."""


@dataclass(frozen=True)
class Program:
    """
    One process of the stack.

    Attributes:
        argv: The command line; holds no secrets.
        address: What a person opens once it answers; None for one without a page.
        health: What answers 200 once the program is ready.
    """

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(repr=False)
    address: str | None = None
    health: str | None = None


def api_program(settings: Settings, *, port: int | None = None) -> Program:
    """The BentoML service; on the configured port unless another is given."""
    port = port or settings.api.port
    url = f"http://{settings.api.host}:{port}"
    return Program(
        "api",
        [
            script("bentoml"), "serve", "serving.service:BookRecommender",
            "--host", settings.api.host, "--port", str(port),
        ],
        {
            **environment(settings),
            "BENTOML_HOME": str(settings.home / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
        },
        address=f"{url}/docs",
        health=f"{url}/livez",
    )  # fmt: skip


def worked_on(program: Program) -> Program:
    """The same program for whoever works on the code: it says more, and soon reads DAGs again."""
    return replace(program, env={**program.env, **_WORKED_ON})


def following_source(program: Program) -> Program:
    """The same program, started again as soon as a file of ours changes."""
    # BentoML's own --reload watches all that lies around, and the home changes without end.
    folders = [str(_SOURCE / name) for name in ("expectations", "pipelines", "serving")]
    watching = [script("watchfiles"), "--filter", "python", "--sigint-timeout", "20"]
    return replace(program, argv=[*watching, shlex.join(program.argv), *folders])


def mlflow_programs(settings: Settings) -> list[Program]:
    """MLflow's server on our database and artifact root; none where settings name a server."""
    stack = settings.stack
    url = f"http://127.0.0.1:{stack.mlflow_port}"
    assert settings.mlflow_tracking_uri is not None  # noqa: S101 - prepared settings have it
    database = settings.mlflow_tracking_uri.get_secret_value()
    if database.startswith("http"):
        return []
    program = Program(
        "mlflow",
        [
            script("mlflow"), "server", "--host", "127.0.0.1", "--port", str(stack.mlflow_port),
            "--workers", "1", "--artifacts-destination", settings.artifact_root.as_uri(),
        ],
        {
            # By environment: a command line can be read by everyone on the machine.
            "MLFLOW_BACKEND_STORE_URI": database,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        address=f"{url}/#/experiments?workflowType=machine_learning",
        health=f"{url}/health",
    )  # fmt: skip
    return [program]


def airflow_programs(settings: Settings) -> list[Program]:
    """Airflow's API server (with its user interface), scheduler, DAG processor and triggerer."""
    url = f"http://127.0.0.1:{settings.stack.airflow_port}"
    env = {**environment(settings), **airflow_environment(settings)}
    airflow = script("airflow")
    api = [airflow, "api-server", "--host", "127.0.0.1", "--port", str(settings.stack.airflow_port)]
    # Who serves logs listens on every interface; here they are files that the API server reads.
    quiet = "--skip-serve-logs"
    return [
        Program("airflow", api, env, address=url, health=f"{url}/api/v2/version"),
        Program("scheduler", [airflow, "scheduler", quiet], env),
        Program("dag-processor", [airflow, "dag-processor"], env),
        Program("triggerer", [airflow, "triggerer", quiet], env),
    ]


def airflow_environment(settings: Settings, *, database: str = "airflow") -> dict[str, str]:
    """Airflow's settings for this home: its own folder, and a database beside ours."""
    home, url = settings.home / "airflow", f"http://127.0.0.1:{settings.stack.airflow_port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_database(settings, database),
        "AIRFLOW__CORE__DAGS_FOLDER": str(_SOURCE / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{_AIRFLOW_USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(airflow_password_file(settings)),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": (
            "great_expectations=WARNING faiss=ERROR alembic=WARNING airflow.sdk.api.client=CRITICAL"
        ),
        "PYTHONWARNINGS": "ignore",
    }


def airflow_database(settings: Settings, database: str = "airflow") -> str:
    """Where Airflow keeps its metadata: `<our database>_<database>`."""
    return sibling(settings.known_database_url, database)


def airflow_password_file(settings: Settings) -> Path:
    """The file with the password of Airflow's user `admin`, made on first use."""
    path = settings.home / "airflow" / "passwords.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as stream:
            stream.write(f'{{"{_AIRFLOW_USER}": "{secrets.token_urlsafe(12)}"}}')
    return path


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def script(name: str) -> str:
    """A program of this very environment, whatever PATH says."""
    beside = Path(sys.executable).parent / name
    return str(beside if beside.exists() else Path(sysconfig.get_path("scripts")) / name)
