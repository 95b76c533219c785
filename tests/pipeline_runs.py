"""Whole runs in tests: a small library with two tastes, and contexts on real servers."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipelines.run_params import RunParams
from pipelines.settings import Settings
from pipelines.stages.run_context import RunContext
from pipelines.storage.services import prepared
from tests.servers import temporary_database

N_READERS, N_BOOKS = 80, 40
MakeContext = Callable[..., RunContext]


def small_ratings() -> pd.DataFrame:
    """Readers of even number like even books, the others odd ones; 12 ratings each, in order."""
    rows = [
        (user, book, 5 if (user + book) % 2 == 0 else 2, 1_700_000_000 + 1000 * user + step)
        for user in range(1, N_READERS + 1)
        for step, book in enumerate(_books_of(user))
    ]
    return pd.DataFrame(rows, columns=["user_id", "book_id", "rating", "timestamp"])


def _books_of(user: int) -> list[int]:
    own = [b for b in range(1, N_BOOKS + 1) if (user + b) % 2 == 0]
    other = [b for b in range(1, N_BOOKS + 1) if (user + b) % 2]
    start = (7 * user) % len(own)
    liked = [own[(start + 3 * i) % len(own)] for i in range(10)]
    return [other[user % len(other)], other[(user + 5) % len(other)], *liked]


def small_books() -> pd.DataFrame:
    """A catalogue whose genres follow the two tastes."""
    numbers = range(1, N_BOOKS + 1)
    return pd.DataFrame(
        {
            "book_id": numbers,
            "title": [f"Volume {b}" for b in numbers],
            "authors": [f"Author {b % 4}" for b in numbers],
            "genres": ["sea;travel" if b % 2 == 0 else "crime;city" for b in numbers],
            "description": [
                "A voyage to far islands." if b % 2 == 0 else "A murder in town." for b in numbers
            ],
        }
    )


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder that the source `interactions` reads: ratings.csv and books.csv."""
    folder = tmp_path / "library"
    folder.mkdir()
    small_ratings().to_csv(folder / "ratings.csv", index=False)
    small_books().to_csv(folder / "books.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def mlflow_url(_postgres_server: str) -> Iterator[str]:
    """MLflow's database: made once, since setting it up takes seconds."""
    with temporary_database(_postgres_server, "mlflow") as url:
        yield url


@pytest.fixture(scope="session", autouse=True)
def _untuned() -> Iterator[None]:
    """Runs keep the default hyperparameters, and so their time, but where a test wants others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOOKREC_TUNING__BUDGET_SECONDS", "0")
        yield


@pytest.fixture
def run_settings(tmp_path: Path, postgres_url: str, mlflow_url: str) -> Settings:
    """Settings of a home of its own, with an experiment and a model of its own."""
    name = secrets.token_hex(4)
    return prepared(
        Settings(
            home=tmp_path / "home",
            database_url=postgres_url,
            redis_url="redis://127.0.0.1:1/0",
            mlflow_tracking_uri=mlflow_url,
            experiment=f"experiment-{name}",
            registered_model=f"model-{name}",
            api={"port": 1},
        )
    )


@pytest.fixture
def make_context(run_settings: Settings, library: Path) -> MakeContext:
    """Contexts for runs over the small library, or what else is named."""

    def make(run_id: str = "run-1", **params: object) -> RunContext:
        defaults: dict[str, object] = {"source": "interactions", "data_path": str(library)}
        return RunContext(run_id, RunParams(**(defaults | params)), run_settings)

    return make
