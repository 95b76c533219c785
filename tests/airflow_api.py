"""Airflow over its REST API, as whoever operates it works with it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

CHEAP = {
    "BOOKREC_MODELS": '["popularity", "item_knn"]',
    "BOOKREC_TUNING__BUDGET_SECONDS": "0",
    "BOOKREC_EVALUATION__LEARNING_CURVE_SECONDS": "0",
    "BOOKREC_SCHEDULE": "never",
    "BOOKREC_QUALITY__SCHEDULE": "never",
    "BOOKREC_LOADING__FEEDBACK_SCHEDULE": "never",
    "BOOKREC_WEBHOOKS__SCHEDULE": "never",
    "BOOKREC_MAINTENANCE__SCHEDULE": "never",
}
"""Settings for short runs, none of which starts by the clock."""
PATIENCE = 300
ENDED = {"success", "failed"}


class AirflowApi:
    """
    A session of the user `admin`.

    Args:
        url: Of the API server.
        passwords: The file of `airflow_password_file`.
    """

    def __init__(self, url: str, passwords: Path) -> None:
        ((name, password),) = json.loads(passwords.read_text()).items()
        who = {"username": name, "password": password}
        token = httpx.post(f"{url}/auth/token", json=who).raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=f"{url}/api/v2", headers=headers, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def start(self, dag_id: str, **conf: Any) -> None:
        """Start a run as soon as the DAG is known."""
        until(lambda: self._http.get(f"/dags/{dag_id}").is_success, f"{dag_id} is known")
        body = {"logical_date": None, "conf": conf}
        self._http.post(f"/dags/{dag_id}/dagRuns", json=body).raise_for_status()

    def update_asset(self, name: str, **extra: Any) -> None:
        """Say that an asset has changed, as soon as it is known."""

        def known() -> list[dict[str, Any]]:
            found = self._http.get("/assets", params={"name_pattern": name, "only_active": True})
            return list(found.raise_for_status().json()["assets"])

        (asset,) = until(known, f"{name} is known")
        event = {"asset_id": asset["id"], "extra": extra}
        self._http.post("/assets/events", json=event).raise_for_status()

    def run(self, dag_id: str, number: int = 1) -> dict[str, Any]:
        """That run of the DAG, the first is 1, when it has ended; fails unless it succeeded."""

        def ended() -> dict[str, Any] | None:
            run = self.begun(dag_id, number)
            return run if run and run["state"] in ENDED else None

        run = until(ended, f"run {number} of {dag_id} ends")
        told = {(t["task_id"], t["map_index"]): t["state"] for t in self.tasks(run)}
        assert run["state"] == "success", told
        return run

    def begun(self, dag_id: str, number: int = 1) -> dict[str, Any] | None:
        """That run of the DAG; None while there is none."""
        answer = self._http.get(f"/dags/{dag_id}/dagRuns", params={"order_by": "run_after"})
        runs = answer.json()["dag_runs"] if answer.is_success else []
        return runs[number - 1] if len(runs) >= number else None

    def tasks(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """The task instances of a run."""
        found = self._http.get(f"{_address(run)}/taskInstances").raise_for_status()
        return list(found.json()["task_instances"])

    def states(self, run: dict[str, Any]) -> dict[str, str]:
        """What became of its tasks; of those of a mapped one, of the last."""
        return {task["task_id"]: task["state"] for task in self.tasks(run)}

    def told(self, run: dict[str, Any], task_id: str, key: str = "return_value") -> Any:
        """What a task of the run handed on."""
        xcom = f"{_address(run)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._http.get(xcom).raise_for_status().json()["value"]


def _address(run: dict[str, Any]) -> str:
    return f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}"


def until(happened: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What the function gives, once that is true."""
    deadline = time.monotonic() + patience
    while not (told := happened()):
        assert time.monotonic() < deadline, f"after {patience} s not yet: {what}"
        time.sleep(1)
    return told
