"""The source `postgresql` against a real one."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from pipelines.errors import ConfigurationError, SourceError
from pipelines.run_params import RunParams
from pipelines.stages.run_context import RunContext
from pipelines.storage.database import connect
from pipelines.storage.sources import postgresql
from tests.sources import read_all

pytestmark = pytest.mark.integration

TABLES = """
create table ratings (user_id uuid, book_id bigint, rating numeric(3, 1), rated_at timestamptz);
insert into ratings select md5(i::text)::uuid, i, 4.5, '2020-01-02 03:04:05+00'
    from generate_series(1, 25) i;
insert into ratings values (null, 1, 3, null), (md5('x')::uuid, 2, 'NaN', null);
create schema shop;
create sequence turn;
create table shop.books (id text, title text, genres text[], year int);
insert into shop.books values ('7', 'Seven', '{a,b}', 1999), ('8', null, null, null);
create table shop.readers (user_id int, location text, age numeric);
insert into shop.readers values (1, 'here', 31.0), (2, null, null);
create table nothing (user_id int, book_id int);
"""


@pytest.fixture
def url(postgres_url):
    engine = connect(postgres_url)
    with engine.begin() as connection:
        connection.execute(text(TABLES))
    engine.dispose()
    return postgres_url


def test_tables_are_read_typed_and_in_batches(url, monkeypatch):
    monkeypatch.setattr(postgresql, "BATCH_ROWS", 10)
    found = read_all("postgresql", url, books="shop.books", readers="shop.readers")
    assert found.ratings["book_id"].to_pylist() == [str(i) for i in range(1, 26)]
    assert found.ratings["row"].to_pylist() == list(range(1, 26))
    first = found.ratings.slice(0, 1).to_pylist()[0]
    assert first["user_id"] == "c4ca4238-a0b9-2382-0dcc-509a6f75849b"
    assert (first["rating"], first["rated_at"]) == (4.5, datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert [(r["row"], r["rule"]) for r in found.rejected.to_pylist()] == [
        (26, "missing_user_id"),
        (27, "rating_not_a_number"),
    ]
    seven, eight = found.books.to_pylist()
    assert (seven["book_id"], seven["genres"], seven["year"]) == ("7", ["a", "b"], 1999)
    assert (eight["title"], eight["genres"]) == (None, [])
    assert found.readers["age"].to_pylist() == [31, None]


def test_query_may_hold_any_sign(url):
    query = "select user_id, book_id % 5 as item, ':x' as note from ratings where book_id < 5"
    found = read_all("postgresql", url, ratings=query)
    assert found.ratings["book_id"].to_pylist() == ["1", "2", "3", "4", "2"]
    assert found.ratings["rating"].null_count == 5


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        ("nowhere", 'relation "nowhere" does not exist'),
        ("nothing", "no rows"),
        ("shop.books", "shop.books has no column user_id"),
        ("select * frm ratings", "syntax error"),
        ("select nextval('turn') as user_id,\n1 as book_id", "read-only transaction"),
        ('x";--', "does not exist"),
    ],
)
def test_what_cannot_be_read_gives_one_clear_error(url, ratings, message):
    with pytest.raises(SourceError, match=message) as caught:
        read_all("postgresql", url, ratings=ratings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        (None, SourceError, "BOOKREC_SOURCE_DATABASE_URL"),
        ("mysql://ann:hunter2@h/d", ConfigurationError, "must be PostgreSQL"),
        ("postgresql://ann:hunter2@127.0.0.1:1/d", SourceError, "refused"),
    ],
)
def test_address_that_cannot_be_used_is_refused_without_its_password(address, error, message):
    with capture_logs() as logs, pytest.raises(error, match=message) as caught:
        read_all("postgresql", address)
    assert "hunter2" not in f"{caught.value} {logs}"


def test_no_password_is_recorded_by_a_run(run_settings, tmp_path):
    address = "postgresql://ann:hunter2@127.0.0.1:1/shop"
    ctx = RunContext("run-1", RunParams(source="postgresql", data_path=address), run_settings)
    with ctx.stage("ingest", inputs=()):
        pass
    recorded = [path.read_text() for path in tmp_path.rglob("manifest.json")]
    assert "ann@127.0.0.1" in recorded[0]
    assert "hunter2" not in "".join(recorded) + repr(ctx.params)
    assert ctx.data_location == address


def test_address_may_come_from_the_settings(run_settings):
    settings = type(run_settings)(source_database_url="postgresql://ann:hunter2@h/shop")
    ctx = RunContext("run-1", RunParams(source="postgresql"), settings)
    assert ctx.data_location == "postgresql://ann:hunter2@h/shop"
    assert "hunter2" not in repr(settings)
