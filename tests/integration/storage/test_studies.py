from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import inspect

from pipelines.errors import StorageError
from pipelines.storage.database import connect, migrate
from pipelines.storage.studies import SCHEMA, open_study

pytestmark = pytest.mark.integration


def tables(url: str, schema: str) -> set[str]:
    engine = connect(url)
    try:
        return set(inspect(engine).get_table_names(schema))
    finally:
        engine.dispose()


def one_trial(url: str, name: str) -> int:
    with open_study(url, name) as study:
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, 0.5)
        return len(study.trials)


def test_a_study_opened_again_still_has_its_trials(postgres_url: str):
    assert [one_trial(postgres_url, "a") for _ in range(3)] == [1, 2, 3]
    assert one_trial(postgres_url, "b") == 1


def test_studies_lie_apart_from_our_tables(postgres_url: str):
    one_trial(postgres_url, "a")
    assert {"studies", "trials", "alembic_version"} <= tables(postgres_url, SCHEMA)
    assert tables(postgres_url, "public") == set()
    migrate(postgres_url)
    assert "studies" not in tables(postgres_url, "public")
    assert one_trial(postgres_url, "a") == 2


def test_models_that_begin_at_the_same_time_do_not_race(postgres_url: str):
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda name: one_trial(postgres_url, name), "abcd"))
    assert counts == [1, 1, 1, 1]


def test_a_server_out_of_reach_is_an_error():
    with (
        pytest.raises(StorageError, match="PostgreSQL at"),
        open_study("postgresql://nobody@127.0.0.1:1/x", "a"),
    ):
        pass
