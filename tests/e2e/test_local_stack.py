"""What `make run` does when a stage fails, and what `make up` starts and leaves behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from pipelines.stack import free_port
from pipelines.stages import STAGES
from tests.airflow_api import CHEAP, AirflowApi

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def own_home(tmp_path: Path) -> dict[str, str]:
    """An environment with a home and ports of its own, where nothing is scheduled."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("BOOKREC_")}
    return (
        mine
        | CHEAP
        | {
            "BOOKREC_LOCAL_SERVERS_ROOT": os.environ["BOOKREC_LOCAL_SERVERS_ROOT"],
            "BOOKREC_HOME": str(tmp_path / "home"),
            "BOOKREC_API__PORT": str(free_port()),
            "BOOKREC_STACK__MLFLOW_PORT": str(free_port()),
            "BOOKREC_STACK__AIRFLOW_PORT": str(free_port()),
            # Programs that give themselves a title keep what `of_home` knows them by.
            "SPT_NOENV": "1",
        }
    )


def of_home(home: str) -> list[psutil.Process]:
    """Processes that work for a home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("BOOKREC_HOME") == home and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_failed_stage_ends_the_dag_run_with_one_line(own_home: dict[str, str], tmp_path: Path):
    command = [sys.executable, "-m", "dags.local_run", "--source", "interactions"]
    command += ["--data", str(tmp_path / "nothing.csv")]
    ended = subprocess.run(command, env=own_home, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("bookrec: stage ingest failed: ")
    assert "nothing.csv" in last
    assert "Traceback" not in ended.stderr
    assert "✓" not in ended.stdout
    assert of_home(own_home["BOOKREC_HOME"]) == []


def test_the_stack_trains_serves_learns_what_readers_tell_and_stops_without_a_trace(
    own_home: dict[str, str], library: Path, tmp_path: Path
):
    home = Path(own_home["BOOKREC_HOME"])
    command = [str(Path(sys.executable).parent / "bookrec"), "up"]
    with (tmp_path / "out").open("w+") as out:
        stack = subprocess.Popen(command, env=own_home, stdout=out, stderr=out)
        try:
            addresses = _wait_until_it_answers(stack, Path(out.name), patience=180)
            api, airflow, mlflow = (addresses[n] for n in ("api", "airflow", "mlflow"))
            assert httpx.get(api).status_code == 200
            assert httpx.get(f"{airflow}/api/v2/monitor/health").json()["scheduler"]["status"]
            assert httpx.get(mlflow).status_code == 200
            # Whoever is not logged in may not look around.
            assert httpx.get(f"{airflow}/api/v2/dags").status_code == 401
            _assert_no_password_on_a_command_line(own_home["BOOKREC_HOME"])
            _assert_only_this_machine_is_listened_to(psutil.Process(stack.pid), own_home)
            api = api.removesuffix("/docs")
            with AirflowApi(airflow, home / "airflow" / "passwords.json") as operator:
                _train(operator, api, library)
                _load_feedback(operator, api)
        finally:
            stack.send_signal(signal.SIGINT)
            code = stack.wait(90)
    assert code == 0, (tmp_path / "out").read_text()
    assert of_home(own_home["BOOKREC_HOME"]) == []


def _train(airflow: AirflowApi, api: str, library: Path) -> None:
    """A run that is started over REST: the service serves its model, and an asset warms it."""
    assert httpx.get(f"{api}/api/v1/users/1/recommendations").status_code == 503
    airflow.start(
        "retrain_recommender", source="interactions", data_path=str(library), library="shop"
    )
    trained = airflow.run("retrain_recommender")
    assert set(airflow.states(trained)) == {"decide", *STAGES}
    assert set(airflow.states(trained).values()) == {"success"}
    warmed = airflow.run("warm_cache")
    assert warmed["run_type"] == "asset_triggered"
    assert airflow.told(warmed, "warm")["version"] == 1
    answer = httpx.get(f"{api}/api/v1/users/1/recommendations").raise_for_status().json()
    assert (answer["model_version"], answer["source"]) == (1, "cache")


def _load_feedback(airflow: AirflowApi, api: str) -> None:
    """What a reader tells becomes a batch, whose asset has it looked at whether to train."""
    told = {"events": [{"user_id": 1, "book_id": 2, "kind": "read"}]}
    httpx.post(f"{api}/api/v1/feedback", json=told).raise_for_status()
    airflow.start("load_feedback")
    airflow.run("load_feedback")
    loaded = airflow.run("load_batch")
    assert loaded["conf"] == {"source": "feedback", "library": "shop"}
    assert set(airflow.states(loaded).values()) == {"success"}
    decided = airflow.run("retrain_recommender", 2)
    assert decided["run_type"] == "asset_triggered"
    reason = airflow.told(decided, "decide", "reason")
    assert reason.startswith("skipped: 1 of 961 ratings of shop changed since the champion learnt")
    assert airflow.states(decided) == {"decide": "success"} | dict.fromkeys(STAGES, "skipped")


def test_a_port_that_is_taken_is_named(own_home: dict[str, str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [str(Path(sys.executable).parent / "bookrec"), "up"]
        env = own_home | {"BOOKREC_API__PORT": str(port)}
        ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1].startswith(f"bookrec: port {port} is taken")
    assert of_home(own_home["BOOKREC_HOME"]) == []


def test_the_service_follows_its_source(own_home: dict[str, str], tmp_path: Path):
    """Of a copy of it, as `bookrec up --reload` starts it."""
    for name in ("expectations", "pipelines", "serving"):
        shutil.copytree(ROOT / name, tmp_path / name)
    start = (
        "import os; from pipelines.settings import get_settings; from pipelines.stack import *; "
        "program = following_source(worked_on(api_program(get_settings()))); "
        "os.execve(program.argv[0], program.argv, os.environ | program.env)"
    )
    env = own_home | {"PYTHONPATH": str(tmp_path), "BOOKREC_MLFLOW_TRACKING_URI": "http://[::1]:1"}
    livez = f"http://127.0.0.1:{env['BOOKREC_API__PORT']}/livez"
    with (tmp_path / "out").open("w") as out:
        service = subprocess.Popen(
            [sys.executable, "-c", start], cwd=tmp_path, env=env, stdout=out, stderr=out
        )
    try:
        _until_answered(livez, {"status": "alive"}, service)
        health = tmp_path / "serving" / "gateway" / "routes" / "health.py"
        health.write_text(health.read_text().replace('"alive"', '"changed"'))
        _until_answered(livez, {"status": "changed"}, service)
        working = psutil.Process(service.pid).children(recursive=True)
        listening = {child.pid for child in working if "circusd" in child.cmdline()}
        assert listening
        assert listening <= {process.pid for process in of_home(env["BOOKREC_HOME"])}
    finally:
        service.terminate()
        service.wait(60)
    assert of_home(own_home["BOOKREC_HOME"]) == []


def _until_answered(url: str, wanted: dict[str, str], service: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            if httpx.get(url).json() == wanted:
                return
        except httpx.TransportError:
            pass
        assert service.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _wait_until_it_answers(
    stack: "subprocess.Popen[bytes]", out: Path, *, patience: float
) -> dict[str, str]:
    deadline = time.monotonic() + patience
    while "Ctrl-C stops everything" not in (printed := out.read_text()):
        assert stack.poll() is None, printed
        assert time.monotonic() < deadline, printed
        time.sleep(0.5)
    lines = (line.split() for line in printed.splitlines() if line.startswith("✓"))
    return {name: address for _, name, address in lines}


def _assert_only_this_machine_is_listened_to(
    stack: psutil.Process, own_home: dict[str, str]
) -> None:
    sockets = [c for p in stack.children(recursive=True) for c in p.net_connections("inet")]
    listening = {c.laddr for c in sockets if c.status == psutil.CONN_LISTEN}
    expected = {int(own_home[f"BOOKREC_{name}_PORT"]) for name in ("API_", "STACK__AIRFLOW")}
    assert expected <= {address.port for address in listening}
    assert {address.ip for address in listening} == {"127.0.0.1"}


def _assert_no_password_on_a_command_line(home: str) -> None:
    passwords = [
        part
        for process in of_home(home)
        for name in ("BOOKREC_DATABASE_URL", "BOOKREC_REDIS_URL", "BOOKREC_API__ADMIN_TOKEN")
        if (part := process.environ().get(name, "").split("@")[0].split(":")[-1])
    ]
    assert passwords
    lines = [" ".join(p.cmdline()) for p in psutil.process_iter()]
    assert not [line for line in lines for password in passwords if password in line]
