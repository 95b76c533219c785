"""
Take the pictures of the documentation: two models of the sample, as a browser shows their pages.

    make screenshots

Chromium has to be installed; nothing else needs it.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from pipelines.processes import running
from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.stack import api_program, mlflow_programs
from pipelines.storage.services import running_services

PICTURES = Path(__file__).parent / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BOOKREC = [sys.executable, "-c", "from pipelines.cli import main; main()"]
SMALLER = {"BOOKREC_MODELS": '["popularity", "item_knn", "content"]'}
"""What the first of the two models is made of, so that there is a difference to look at."""


def main() -> None:
    """Train twice, start what shows pages, and write the pictures."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("screenshots: no Chromium is installed: apt-get install chromium")
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        home = Path(folder)
        trained(home, SMALLER)
        stages = trained(home, {})
        compared = home / "versions.html"
        bookrec(home, "models", "compare", "--output", str(compared))
        pages = {
            "evaluation": (Path(stages["evaluate"]["report"]).as_uri(), 1500),
            "data-quality": (Path(stages["profile"]["report"]).as_uri(), 1500),
            "versions": (compared.as_uri(), 1400),
        }
        with running_services(Settings(home=home)) as settings:
            (mlflow,) = mlflow_programs(settings)
            served = api_program(settings)
            logs = home / "logs"
            with running(mlflow, log_folder=logs) as is_up, running(served, log_folder=logs) as too:
                is_up()
                too()
                pages |= {
                    "mlflow-compare": (in_mlflow(settings), 1100),
                    "api": (f"http://127.0.0.1:{settings.api.port}/docs", 1400),
                }
                for name, (address, height) in pages.items():
                    take(browser, address, PICTURES / f"{name}.png", height, home / "profile")


def trained(home: Path, changes: dict[str, str]) -> dict[str, dict[str, str]]:
    """What the stages of a run told."""
    told = json.loads(bookrec(home, "run", "--source", "sample", "--json", **changes))
    stages: dict[str, dict[str, str]] = told["stages"]
    return stages


def bookrec(home: Path, *words: str, **changes: str) -> str:
    """What the command prints."""
    env = os.environ | {"BOOKREC_HOME": str(home), "BOOKREC_TUNING__BUDGET_SECONDS": "0"} | changes
    return subprocess.run([*BOOKREC, *words], env=env, check=True, text=True, stdout=-1).stdout


def in_mlflow(settings: Settings) -> str:
    """Where MLflow compares the runs of all versions."""
    registry = MlflowRegistry.from_settings(settings)
    runs = quote(json.dumps([version.run_id for version in registry.versions()]))
    experiment = quote(json.dumps([registry.prepare()]))
    server = f"http://127.0.0.1:{settings.stack.mlflow_port}"
    return f"{server}/#/compare-runs?runs={runs}&experiments={experiment}"


def take(browser: str, address: str, picture: Path, height: int, profile: Path) -> None:
    """A picture of a page, once its scripts have run."""
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={profile}", f"--window-size=1300,{height}", "--timeout=15000",
        "--virtual-time-budget=15000", f"--screenshot={picture}", address,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    print(picture)  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()
