"""The README, followed by a newcomer: a clone in an empty folder, its commands in their order."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipelines.stages import STAGES
from tests.pipeline_runs import small_ratings

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
COMMAND = re.compile(r"^\$ (.+?)(?:\s+#.*)?$", re.MULTILINE)
RUN_ELSEWHERE = {
    "make test": "it is what runs this test",
    'make bench-quality ARGS="--data path/to/goodbooks-10k"': "test_benchmarks.py, on tiny data",
    ".venv/bin/bookrec webhooks add https://hooks.example.org/bookrec --event model.promoted": (
        "test_commands.py, with a receiver that there is"
    ),
}


def commands() -> list[str]:
    """Every command of the README's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    found = [command for block in blocks for command in COMMAND.findall(block)]
    assert len(found) >= 8, "the README has lost its commands"
    return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is committed, and nothing else; removed at the end, for an environment is large."""
    folder = tmp_path_factory.mktemp("newcomer") / "bookrec"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    yield folder
    shutil.rmtree(folder)


def test_every_command_of_the_readme_works_in_its_order(clone: Path):
    data = clone / "path" / "to"
    data.mkdir(parents=True)
    small_ratings().to_csv(data / "ratings.csv", index=False)
    env = {name: value for name, value in os.environ.items() if not name.startswith("BOOKREC_")}
    env["BOOKREC_LOCAL_SERVERS_ROOT"] = os.environ["BOOKREC_LOCAL_SERVERS_ROOT"]
    printed = {}
    for command in commands():
        if command in RUN_ELSEWHERE:
            continue
        ended = subprocess.run(
            ["bash", "-c", command], cwd=clone, env=env, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
        printed[command] = ended.stdout
    _check_the_run(printed["make run"])
    exported = pd.read_parquet(clone / "recommendations.parquet")
    assert exported.groupby("user_id").size().eq(10).all()
    assert subprocess.check_output(["git", "status", "--short"], cwd=clone, text=True).split() == [
        "??", "path/", "??", "recommendations.parquet",
    ]  # fmt: skip


def _check_the_run(printed: str) -> None:
    lines = [line.split()[1].split("/")[0] for line in printed.splitlines() if line[:1] == "✓"]
    assert list(dict.fromkeys(lines)) == list(STAGES)
    assert "│ 10 │" in printed
    assert "because you liked" in printed
    pages = ("Data Docs: ", "Evaluation: ", "/docs", "MLflow")
    for promised in ("ndcg_at_10", "Airflow took", *pages):
        assert promised in printed
