"""
Embeddings on disk: a text that was embedded once is never embedded again.

One SQLite file for all providers. Each batch is a transaction of its own, so that whatever kills
the process costs at most one batch, and any number of processes may use the file at once.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import structlog

from pipelines.errors import EmbeddingError
from pipelines.models.embeddings.base import EmbeddingProvider, Vectors

log = structlog.get_logger()

FILE = "embeddings.sqlite3"
BATCH_TEXTS = 64
KEYS_PER_QUERY = 500
"""Older builds of SQLite take no more than 999 values in one statement."""
LOCK_SECONDS = 60
REPORT_SECONDS = 30
TABLE = """
CREATE TABLE IF NOT EXISTS embedding (
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    text_sha256 BLOB NOT NULL,
    vector BLOB NOT NULL,
    vector_sha256 BLOB NOT NULL,
    PRIMARY KEY (provider, model, text_sha256)
) WITHOUT ROWID
"""
FIND = "SELECT text_sha256, vector, vector_sha256 FROM embedding WHERE provider = ? AND model = ?"

Found = dict[bytes, Vectors]


def embed(provider: EmbeddingProvider, texts: Sequence[str], folder: Path | None) -> Vectors:
    """
    One row a text, from the cache where it is there, else from the provider.

    Args:
        provider: Asked once for each distinct text that is missing.
        texts: At least one.
        folder: Where the cache lies; None for none.

    Raises:
        EmbeddingError: the provider failed; what it answered before is kept.
    """
    by_key = {_sha256(text.encode()): text for text in texts}
    cache = EmbeddingCache(folder, provider.name, provider.model) if folder else None
    found = cache.find(list(by_key)) if cache else {}
    n_cached = len(found)
    _complete(found, by_key, provider, cache)
    if len({len(vector) for vector in found.values()}) > 1:
        # The model behind the name has been exchanged: what is kept belongs to the old one.
        log.warning("embeddings_of_another_size_dropped", provider=provider.name, texts=n_cached)
        found = {}
        _complete(found, by_key, provider, cache)
    log.info("texts_embedded", provider=provider.name, texts=len(by_key), cached=n_cached)
    rows = [found[_sha256(text.encode())] for text in texts]
    if len({len(row) for row in rows}) > 1:
        raise EmbeddingError(f"{provider.name} answered with vectors of unequal length")
    return np.stack(rows)


def _complete(
    found: Found,
    by_key: dict[bytes, str],
    provider: EmbeddingProvider,
    cache: "EmbeddingCache | None",
) -> None:
    """Ask for what is missing, a batch at a time."""
    missing = [key for key in by_key if key not in found]
    reported = time.monotonic()
    for start in range(0, len(missing), BATCH_TEXTS):
        keys = missing[start : start + BATCH_TEXTS]
        batch = dict(zip(keys, provider.embed([by_key[key] for key in keys]), strict=True))
        found.update(batch)
        if cache:
            cache.keep(batch)
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            log.info("texts_are_embedded", provider=provider.name, done=start, of=len(missing))


class EmbeddingCache:
    """The vectors of one model of one provider, by the checksum of the text."""

    def __init__(self, folder: Path, provider: str, model: str) -> None:
        self._path = folder / FILE
        self._owner = (provider, model)
        self._usable = True

    def find(self, keys: Sequence[bytes]) -> Found:
        """What is kept of these; a vector that fails its checksum is as good as none."""
        try:
            with self._connection() as connection:
                rows = [row for part in _parts(keys) for row in self._rows(connection, part)]
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
            return {}
        intact = {key: vector for key, vector, digest in rows if _sha256(vector) == digest}
        if len(intact) < len(rows):
            log.warning("corrupt_embeddings_ignored", texts=len(rows) - len(intact))
        return {key: np.frombuffer(vector, np.float32) for key, vector in intact.items()}

    def _rows(
        self, connection: sqlite3.Connection, keys: Sequence[bytes]
    ) -> list[tuple[bytes, bytes, bytes]]:
        marks = ", ".join("?" * len(keys))
        query = f"{FIND} AND text_sha256 IN ({marks})"
        return connection.execute(query, (*self._owner, *keys)).fetchall()

    def keep(self, vectors: Found) -> None:
        """Add a batch, whole or not at all."""
        if not self._usable:
            return
        rows = [
            (*self._owner, key, blob := vector.astype(np.float32).tobytes(), _sha256(blob))
            for key, vector in vectors.items()
        ]
        try:
            with self._connection() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO embedding VALUES (?, ?, ?, ?, ?)", rows
                )
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A transaction; opened anew each time, which costs less than a millisecond."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=LOCK_SECONDS)) as connection, connection:
            connection.execute(TABLE)
            yield connection

    def _give_up(self, error: sqlite3.Error | OSError) -> None:
        """Go on without what cannot be used; a broken file is put aside for a new one."""
        log.warning("embedding_cache_unusable", path=str(self._path), reason=str(error))
        broken = isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        )
        self._usable = broken  # a full disk or a folder without permission stays what it is
        if broken:
            aside = self._path.with_name(f"{FILE}.{uuid4().hex[:8]}.broken")
            with suppress(OSError):  # another process may have done the same
                self._path.replace(aside)


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), KEYS_PER_QUERY):
        yield keys[start : start + KEYS_PER_QUERY]


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
