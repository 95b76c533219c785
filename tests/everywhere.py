"""Looks for a text in all that an installation keeps: tables, Redis, and files, decoded."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import redis
import sqlalchemy as sa


def places(text: str, *, databases: list[str], redis_url: str, folders: list[Path]) -> list[str]:
    """Every table, key and file that holds `text`, in its content or its name."""
    found = [place for url in databases for place in _tables(url, text)]
    found += _keys(redis_url, text)
    files = (path for folder in folders for path in sorted(folder.rglob("*")))
    found += [str(path) for path in files if _in(path, text)]
    return found


def _tables(url: str, text: str) -> Iterator[str]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        tables = connection.execute(
            sa.text(
                "select quote_ident(table_schema) || '.' || quote_ident(table_name)"
                " from information_schema.tables where table_type = 'BASE TABLE'"
                " and table_schema not in ('pg_catalog', 'information_schema')"
            )
        ).scalars()
        for table in list(tables):
            query = f"select count(*) from {table} t where t::text like '%' || :text || '%'"  # noqa: S608 - its own names
            if count := connection.execute(sa.text(query), {"text": text}).scalar_one():
                yield f"{table}: {count} rows"
    engine.dispose()


def _keys(url: str, text: str) -> Iterator[str]:
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            if text.encode() in key or text.encode() in (client.get(key) or b""):
                yield key.decode()


def _in(path: Path, text: str) -> bool:
    if text in path.name:
        return True
    if not path.is_file():
        return False
    return text.encode() in path.read_bytes() or any(text in one for one in _decoded(path))


def _decoded(path: Path) -> Iterator[str]:
    """What lies in a compressed or binary file, as text."""
    if path.suffix == ".parquet":
        for row in pq.read_table(path).to_pylist():
            yield str(row)
    elif path.suffix == ".npy":
        yield str(np.load(path).tolist())
