"""Rows set aside, with the rule they broke and what they looked like."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.schemas import QUARANTINE

Mask = npt.NDArray[np.bool_]
MAX_ORIGINAL = 10_000
"""Characters kept of a row that could not be parsed: a stray quote can swallow half a file."""


def quarantine_table(
    dataset: str, rows: Sequence[int], rules: Sequence[str], originals: Sequence[str]
) -> pa.Table:
    """A table of schema QUARANTINE from parallel columns."""
    columns = [[dataset] * len(rows), rows, rules, originals]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, QUARANTINE, strict=True)], QUARANTINE
    )


def merged(tables: Iterable[pa.Table]) -> pa.Table:
    """Several quarantines of one dataset as one, by row."""
    return pa.concat_tables(tables).sort_by("row")


def split_off(
    table: pa.Table, dataset: str, checks: Mapping[str, Mask], originals: pa.Table | None = None
) -> tuple[pa.Table, pa.Table]:
    """
    Part the rows that break a rule from those that break none.

    Args:
        table: Has a column `row`.
        dataset: "ratings", "books" or "readers".
        checks: For each rule the rows that break it; a row is filed under the first one.
        originals: What to show of each row, `table` itself if not given.

    Returns:
        The rows that break no rule, and the quarantine of the others, both in source order.
    """
    quarantine = set_aside(table, dataset, checks, originals)
    if not len(quarantine):
        return table, quarantine
    return filtered(table, ~np.logical_or.reduce([*checks.values()])), quarantine


def set_aside(
    table: pa.Table, dataset: str, checks: Mapping[str, Mask], originals: pa.Table | None = None
) -> pa.Table:
    """The quarantine alone; arguments as for `split_off`."""
    codes = np.zeros(table.num_rows, np.int8)
    for code, mask in reversed(list(enumerate(checks.values(), start=1))):
        codes[mask] = code
    broken = np.flatnonzero(codes)
    names = list(checks)
    return quarantine_table(
        dataset,
        table["row"].take(broken).to_pylist(),
        [names[code - 1] for code in codes[broken]],
        row_texts((table if originals is None else originals).take(broken)),
    )


def without(table: pa.Table, dataset: str, quarantine: pa.Table) -> pa.Table:
    """The rows of a table that are not set aside."""
    return filtered(table, ~among(table, dataset, quarantine))


def among(table: pa.Table, dataset: str, quarantine: pa.Table) -> Mask:
    """Which rows of a table are set aside."""
    aside = quarantine["row"].filter(pc.equal(quarantine["dataset"], dataset))
    return np.asarray(pc.is_in(table["row"], value_set=aside.combine_chunks()))


def filtered(table: pa.Table, kept: Mask) -> pa.Table:
    """The rows to be kept, two columns at a time: it is memory that takes the time."""
    if kept.all():
        return table
    mask = pa.array(kept)
    with ThreadPoolExecutor(2) as threads:
        columns = list(threads.map(lambda column: column.filter(mask), table.columns))
    return pa.table(columns, table.schema)


def counted(quarantine: pa.Table, dataset: str) -> str:
    """How many rows of a dataset broke each rule, as one line, the most frequent first."""
    rules = Counter(quarantine["rule"].filter(pc.equal(quarantine["dataset"], dataset)).to_pylist())
    return ", ".join(f"{count:,} {rule}" for rule, count in rules.most_common())


def row_texts(table: pa.Table) -> list[str]:
    """Each row as compact JSON; what JSON has no word for is written as text."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    return [
        encode({name: _plain(value) for name, value in row.items()}) for row in table.to_pylist()
    ]


def line_text(text: str) -> str:
    """A line that could not be parsed, fit to be stored: no NUL, at most MAX_ORIGINAL long."""
    shortened = text if len(text) <= MAX_ORIGINAL else f"{text[:MAX_ORIGINAL]}…"
    return shortened.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | int | list):
        return value
    if isinstance(value, float) and np.isfinite(value):
        return value
    return str(value)
