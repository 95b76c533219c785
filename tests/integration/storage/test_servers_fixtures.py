import psycopg2
import redis
from sqlalchemy import make_url


def _tables(url: str) -> int:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(plain)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from pg_tables where schemaname = 'public'")
            found = int(cursor.fetchone()[0])
            cursor.execute("create table books (id int)")
    finally:
        connection.close()
    return found


def test_database_is_empty(postgres_url: str) -> None:
    assert _tables(postgres_url) == 0


def test_database_is_empty_again(postgres_url: str) -> None:
    assert _tables(postgres_url) == 0


def test_cache_is_empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("key", "value")


def test_cache_is_empty_again(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
