"""The README, followed by a newcomer: a clone, its commands in their order; then other pages."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipelines.stages import STAGES
from tests.pipeline_runs import small_ratings

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
COMMAND = re.compile(r"^\$ (.+?)(?:\s+#.*)?$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
RUN_ELSEWHERE = {
    "make test": "it is what runs this test",
    'make bench-quality ARGS="--data path/to/goodbooks-10k"': "test_benchmarks.py, on tiny data",
    ".venv/bin/bookrec webhooks add https://hooks.example.org/bookrec --event model.promoted": (
        "test_commands.py, with a receiver that there is"
    ),
}
PROGRAMS_ELSEWHERE = {
    "docker": "there is no engine; what it names is looked up by tests/unit/docker/test_pages.py",
    "kubectl": "there is no cluster; what it names is looked up there, too",
    "helm": "the same",
    "psql": "there is no server of that name",
    "curl": "nothing is being served; what is asked is tested in tests/integration/serving",
}
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
AFTER_THE_README = [ROOT / "docs" / "deployment.md", *RUNBOOKS]


def commands(page: Path) -> list[str]:
    """Every command of a page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    return [command for block in blocks for command in COMMAND.findall(block)]


def run_here(command: str) -> bool:
    """Whether it can be run by a test of this file."""
    return command not in RUN_ELSEWHERE and command.split()[0] not in PROGRAMS_ELSEWHERE


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is committed, and nothing else; removed at the end, for an environment is large."""
    folder = tmp_path_factory.mktemp("newcomer") / "bookrec"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def run(clone: Path) -> Callable[[str], str]:
    """Runs a command in the clone, where nothing is set; gives what it prints."""
    # Also without the wishes of a `make` that runs this test.
    foreign = ("BOOKREC_", "MAKE", "MFLAGS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env["BOOKREC_LOCAL_SERVERS_ROOT"] = os.environ["BOOKREC_LOCAL_SERVERS_ROOT"]
    env["UV_COMPILE_BYTECODE"] = "0"  # a minute, for what is used once and mostly not at all

    def run(command: str) -> str:
        ended = subprocess.run(
            ["bash", "-c", command], cwd=clone, env=env, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
        return ended.stdout

    return run


@pytest.fixture(scope="module")
def printed(clone: Path, run: Callable[[str], str]) -> dict[str, str]:
    """What the README's commands print; all of them work."""
    data = clone / "path" / "to"
    data.mkdir(parents=True)
    small_ratings().to_csv(data / "ratings.csv", index=False)
    found = commands(ROOT / "README.md")
    assert len(found) >= 8, "the README has lost its commands"
    return {command: run(command) for command in found if run_here(command)}


def test_every_command_of_the_readme_works_in_its_order(clone: Path, printed: dict[str, str]):
    _check_the_run(printed["make run"])
    exported = pd.read_parquet(clone / "recommendations.parquet")
    assert exported.groupby("user_id").size().eq(10).all()
    assert _untracked(clone) == ["path/", "recommendations.parquet"]


def test_every_command_of_deployment_and_the_runbooks_works(
    clone: Path, run: Callable[[str], str], printed: dict[str, str]
):
    """Those that the README has as well were run."""
    found = dict.fromkeys(command for page in AFTER_THE_README for command in commands(page))
    told = {
        command: run(command) for command in found if run_here(command) and command not in printed
    }
    assert any(" rollback " in command for command in told)
    assert any("make_secrets.py" in command for command in told)
    assert "rollback" in run(".venv/bin/bookrec models history")
    assert _untracked(clone) == ["path/", "recommendations.parquet"], (
        "secrets are not to be committed"
    )


def test_every_page_has_a_runbook_and_every_link_an_end():
    """Also those of alerts: whoever is woken has no time to search."""
    assert {page.name for page in RUNBOOKS} >= {"README.md", "restore.md"}
    places = [(page.parent, link) for page in RUNBOOKS for link in LINK.findall(page.read_text())]
    alerts = ROOT / "docker" / "monitoring" / "alerts.yml"
    named = re.findall(r"runbook_url: (\S+)", alerts.read_text()) if alerts.exists() else []
    for folder, link in [*places, *((ROOT, link) for link in named)]:
        path, _, anchor = link.partition("#")
        text = (folder / path).read_text()
        assert not anchor or anchor in map(_anchor, HEADING.findall(text)), f"{folder}: {link}"


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def _untracked(clone: Path) -> list[str]:
    told = subprocess.check_output(["git", "status", "--short"], cwd=clone, text=True)
    return [line.removeprefix("?? ") for line in told.splitlines()]


def _check_the_run(printed: str) -> None:
    lines = [line.split()[1].split("/")[0] for line in printed.splitlines() if line[:1] == "✓"]
    assert list(dict.fromkeys(lines)) == list(STAGES)
    assert "│ 10 │" in printed
    assert "because you liked" in printed
    pages = ("Data Docs: ", "Evaluation: ", "/docs", "MLflow")
    for promised in ("ndcg_at_10", "Airflow took", *pages):
        assert promised in printed
