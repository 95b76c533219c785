"""A model and a source of another package go all the way: through the DAG into served lists."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.packages import install_theirs
from tests.pipeline_runs import N_READERS, small_books, small_ratings

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
        "BOOKREC_EVALUATION__LEARNING_CURVE": "false",
    }


def run(*command: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def bookrec(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return run(str(Path(sys.executable).parent / "bookrec"), *arguments, env=env)


def weights_in(home: Path) -> dict[str, float]:
    """Of the parts of the hybrid that was fetched from the registry."""
    (part,) = home.glob("models/**/parts/same_author/manifest.json")
    weights: dict[str, float] = json.loads((part.parents[2] / "manifest.json").read_text())[
        "config"
    ]["weights"]
    return weights


def test_their_model_is_trained_by_the_dag_and_served(
    env: dict[str, str], reading_log: Path, tmp_path: Path
):
    dag = [sys.executable, "-m", "dags.local_run", "--source", "reading-log"]
    trained = run(*dag, "--data", str(reading_log), env=env)
    assert trained.returncode == 0, trained.stderr + trained.stdout
    assert "train/same_author" in trained.stdout

    output = tmp_path / "lists.parquet"
    exported = bookrec("export", "--output", str(output), "--n", "5", env=env)
    assert exported.returncode == 0, exported.stderr
    weights = weights_in(Path(env["BOOKREC_HOME"]))
    assert set(weights) == {"popularity", "same_author"}
    assert weights["same_author"] > 0
    lists = pd.read_parquet(output)
    assert lists["user_id"].nunique() == N_READERS
    liked = small_ratings().query("rating == 5")
    favourite = (
        liked.assign(author=liked["book_id"] % 4).groupby("user_id")["author"].agg(pd.Series.mode)
    )
    first = lists.query("rank == 1").set_index("user_id")["book_id"]
    print(favourite.head(), first.head(), weights, trained.stdout)
    assert 0

    without = bookrec("recommend", "--user", "4", env=env | {"PYTHONPATH": ""})
    assert without.returncode == 1
    assert "holds a same_author" in without.stderr
    assert "install the package" in without.stderr
