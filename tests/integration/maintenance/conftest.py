"""An installation of few rows and files, which costs no training."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from pipelines.maintenance.databases import LIBRARY, addresses
from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings

Rows = Callable[..., list[tuple]]


@pytest.fixture
def small(run_settings: Settings, redis_url: str) -> Settings:
    """Prepared settings, of a library with one book, and one file in the artifact root."""
    settings = run_settings.model_copy(update={"redis_url": SecretStr(redis_url)})
    MlflowRegistry.from_settings(settings).prepare()
    settings.artifact_root.joinpath("1").mkdir(parents=True)
    settings.artifact_root.joinpath("1", "weights.npy").write_bytes(b"as trained")
    add_book(settings, "first")
    return settings


def add_book(settings: Settings, title: str) -> None:
    execute(
        settings,
        "insert into books (source, book_id, title, authors, genres)"
        " values ('shop', :title, :title, '{}', '{}')",
        title=title,
    )


def titles(settings: Settings) -> list[str]:
    return [row[0] for row in execute(settings, "select title from books order by title")]


def execute(settings: Settings, statement: str, **values: object) -> list[tuple]:
    engine = sa.create_engine(addresses(settings)[LIBRARY])
    try:
        with engine.begin() as connection:
            done = connection.execute(sa.text(statement), values)
            return [tuple(row) for row in done] if done.returns_rows else []
    finally:
        engine.dispose()
