"""A model and a source of another package go all the way: through the DAG into served lists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.models.bundle import ModelBundle
from tests.packages import install_theirs
from tests.pipeline_runs import small_books, small_ratings

pytestmark = pytest.mark.e2e


@pytest.fixture
def reading_log(tmp_path: Path) -> Path:
    """The small library as their source reads it."""
    ratings = small_ratings().astype({"user_id": "str", "book_id": "str"})
    books = small_books().astype({"book_id": "str"})
    books["authors"] = [[author] for author in books["authors"]]
    books["genres"] = books["genres"].str.split(";")
    folder = tmp_path / "log"
    folder.mkdir()
    lines = {"orient": "records", "lines": True}
    ratings.drop(columns="timestamp").to_json(folder / "log.jsonl", **lines)
    books.to_json(folder / "shelf.jsonl", **lines)
    return folder


@pytest.fixture
def env(site: Path, tmp_path: Path) -> dict[str, str]:
    """A home of its own where their package is installed and their model is asked for."""
    install_theirs(site)
    mine = {name: value for name, value in os.environ.items() if not name.startswith("BOOKREC_")}
    kept = ("BOOKREC_LOCAL_SERVERS_ROOT", "BOOKREC_LOCAL_FSYNC", "BOOKREC_TUNING__BUDGET_SECONDS")
    return mine | {
        **{name: os.environ[name] for name in kept},
        "PYTHONPATH": str(site),
        "BOOKREC_HOME": str(tmp_path / "home"),
        "BOOKREC_MODELS": '["popularity", "same_author"]',
    }


def test_their_model_is_trained_by_the_dag_and_served(
    env: dict[str, str], reading_log: Path, tmp_path: Path
):
    dag = [sys.executable, "-m", "dags.local_run", "--source", "reading-log"]
    ran = subprocess.run(
        [*dag, "--data", str(reading_log)], env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "train/same_author" in ran.stdout
    (folder,) = (tmp_path / "home").glob("storage/runs/*/blend/bundle")
    bundle = ModelBundle.load(folder)
    weights = bundle.hybrid.config.weights
    assert set(weights) == {"popularity", "same_author"}
    assert weights["same_author"] > 0
    # The last thing that is printed is a list for one reader, asked of the service over HTTP.
    (reader,) = re.findall(r"For reader (\d+), from", ran.stdout)
    served = [int(book) for book in re.findall(r"Volume (\d+)", ran.stdout)]
    assert len(served) == 10
    assert served == [item.book_id for item in bundle.recommend(reader, 10).items]
    # Even readers like even books, and only their model knows: each author's are all of a kind.
    assert {book % 2 for book in served[:5]} == {int(reader) % 2}
