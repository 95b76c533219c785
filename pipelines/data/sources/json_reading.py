"""
JSON lines: one object a line.

Python's own parser, since ids have to come out as they went in: Arrow's takes a text that looks
like a date for one, rounds integers beyond 64 bits, and is brought down by deep nesting.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import structlog
from upath import UPath

from pipelines.data.sources.dialect import DETECTED, HEAD_BYTES, ForcedDialect
from pipelines.data.sources.files import opened
from pipelines.data.sources.raw_file import ChooseColumns, RawBatch, TornRow
from pipelines.data.sources.text_lines import BLOCK_BYTES, detect_encoding, whole_lines
from pipelines.errors import SourceError

log = structlog.get_logger()

Object = Mapping[str, Any]


def read_json_lines(
    path: UPath, choose: ChooseColumns, forced: ForcedDialect = DETECTED
) -> Iterator[RawBatch]:
    """
    The wanted values of a file of JSON lines, gzipped or not; a line that is no object is torn.

    Columns are chosen among the names that occur in the first block.

    Raises:
        SourceError: not readable, or no object has the names that are needed.
    """
    with opened(path) as file:
        head = file.read(HEAD_BYTES)
        if not head.strip():
            raise SourceError(f"{path} is empty: it needs at least one row")
        encoding = forced.encoding or detect_encoding(head)
        log.info("dialect_detected", file=str(path), encoding=encoding, forced=sorted(forced.given))
        chunks = chain([head], iter(partial(file.read, BLOCK_BYTES), b""))
        yield from _batches(path, whole_lines(path, chunks, encoding), choose)


def _batches(path: UPath, blocks: Iterator[bytes], choose: ChooseColumns) -> Iterator[RawBatch]:
    found_as: dict[str, str] = {}
    before = 0
    for block in blocks:
        lines = [line for line in block.decode().split("\n") if line.strip()]
        objects = [_object(line) for line in lines]
        found = [(at, each) for at, each in enumerate(objects) if each is not None]
        if not found_as:
            header = list(dict.fromkeys(name for _, each in found for name in each))
            found_as = {name: header[at] for name, at in choose(path, header).items()}
        yield RawBatch(
            path=path,
            columns=pa.table(
                {
                    name: _column([each.get(key) for _, each in found])
                    for name, key in found_as.items()
                }
            ),
            found_as=found_as,
            rows=np.array([at for at, _ in found], np.int64) + before + 1,
            torn=tuple(
                TornRow(at + before + 1, "not_a_json_object", lines[at])
                for at, each in enumerate(objects)
                if each is None
            ),
        )
        before += len(lines)


def _object(line: str) -> Object | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _column(values: Sequence[Any]) -> pa.Array:
    """Typed where all values are of one type, else text; lists of text where any is a list."""
    types = set(map(type, values)) - {type(None)}
    if types in ({str}, {int}, {float}):
        with suppress(OverflowError, UnicodeError):  # beyond 64 bits; half of a sign
            return pa.array(values)
    if list in types:
        lists = [value if isinstance(value, list) else [value] for value in values]
        texts = [[_text(part) for part in value if part is not None] for value in lists]
        return pa.array(texts, pa.list_(pa.string()))
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        text = value
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
    else:
        text = json.dumps(value)
    # A lone surrogate, written \ud800, is no text: Arrow could not hold it.
    return text and text.encode(errors="replace").decode()
