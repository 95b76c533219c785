"""The registered model, opened for batch use: the command line's way to the champion."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from pipelines.data.interactions import Id
from pipelines.errors import RegistryError, StorageError
from pipelines.models.bundle import ModelBundle
from pipelines.registry import ModelVersion, Registry

_READERS_AT_ONCE = 1024


def load_by_alias(
    registry: Registry, alias: str, model_cache: Path
) -> tuple[ModelBundle, ModelVersion]:
    """
    The bundle that an alias points at.

    Raises:
        RegistryError: nothing has that alias yet.
        ArtifactError: the bundle is corrupt.
    """
    version = registry.by_alias(alias)
    if version is None:
        raise RegistryError(f"there is no {alias} yet: run the pipeline first (`bookrec run`)")
    return ModelBundle.load(registry.fetch(version.version, model_cache)), version


def most_active_reader(bundle: ModelBundle) -> Id:
    """The reader with the longest history: one to show recommendations for."""
    lengths = np.diff(bundle.interactions.matrix.indptr)
    return bundle.users.ids(np.array([lengths.argmax()], np.int32))[0]


def export_recommendations(
    bundle: ModelBundle, n: int, output: Path, *, on_progress: Callable[[int], None]
) -> int:
    """
    Write a list for every reader as Parquet: user_id, rank (from 1), book_id, score.

    The file appears whole or not at all. Gives the number of rows.

    Raises:
        StorageError: the file cannot be written there.
    """
    _check_target(output)
    draft = output.with_name(f".{output.name}.{uuid4().hex}")
    rows = 0
    try:
        # One thread, as in serving: sums in another order could differ in their last digit.
        with threadpool_limits(1, "blas"), pq.ParquetWriter(draft, _schema(bundle)) as writer:
            for batch in _batches(bundle, n):
                writer.write_table(batch)
                rows += batch.num_rows
                on_progress(_READERS_AT_ONCE)
        draft.replace(output)
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return rows


def _check_target(output: Path) -> None:
    """Before the work is done: a list of all readers takes a while."""
    if output.exists() and not output.is_file():
        raise StorageError(f"cannot write {output}: it is there and is no file")
    if not os.access(output.parent, os.W_OK):
        raise StorageError(f"cannot write {output}: no folder that may be written to")


def _schema(bundle: ModelBundle) -> pa.Schema:
    kinds = {True: pa.int64(), False: pa.string()}
    return pa.schema(
        [
            ("user_id", kinds[bundle.users.is_integer]),
            ("rank", pa.int32()),
            ("book_id", kinds[bundle.books.is_integer]),
            ("score", pa.float32()),
        ]
    )


def _batches(bundle: ModelBundle, n: int) -> Iterator[pa.Table]:
    for start in range(0, len(bundle.users), _READERS_AT_ONCE):
        stop = min(start + _READERS_AT_ONCE, len(bundle.users))
        user_nums = np.arange(start, stop, dtype=np.int32)
        lists = bundle.recommend_many(user_nums, n)
        lengths = np.array([len(one) for one in lists])
        book_nums = np.concatenate([one.book_nums for one in lists])
        ranks = [np.arange(1, length + 1, dtype=np.int32) for length in lengths]
        columns = [
            bundle.users.ids(np.repeat(user_nums, lengths)),
            np.concatenate(ranks),
            bundle.books.ids(book_nums),
            np.concatenate([one.scores for one in lists]),
        ]
        schema = _schema(bundle)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        yield pa.Table.from_arrays(arrays, schema=schema)
