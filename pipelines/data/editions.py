"""One row a work: editions of it give way to the one that most readers rated."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.quarantine import Mask
from pipelines.data.works import same_works


@dataclass(frozen=True)
class Works:
    """A catalogue of works."""

    books: pa.Table
    """The rows that stay, in their order, with what their editions knew better."""
    given_way: Mask
    """Which rows of the catalogue of editions are not among them."""
    work_of: dict[str, str]
    """For each id that has given way the one it now goes by."""

    def move(self, ids: pa.ChunkedArray) -> pa.Array:
        """Ids of works for those of editions."""
        encoded = ids.combine_chunks().dictionary_encode()
        moved = [self.work_of.get(i, i) for i in encoded.dictionary.to_pylist()]
        return pa.array(moved, encoded.dictionary.type).take(encoded.indices)


def works_of(
    books: pa.Table,
    rated: pa.ChunkedArray,
    known: Mapping[str, str] = MappingProxyType({}),
    *,
    anew: bool = True,
) -> Works:
    """
    The works of a clean catalogue.

    A work keeps the id by which it is known. Else it goes by the id of its edition with most
    ratings, of several by the shortest and first id. What that edition leaves empty is taken from
    the next one.

    Args:
        books: Schema BOOKS, ids distinct.
        rated: The book_id of every rating.
        known: Works by the ids of their editions, as found earlier; their own ids may be among
            these.
        anew: Look for more editions.
    """
    counts = {c["values"]: c["counts"] for c in pc.value_counts(rated).to_pylist()}
    ids, settled = books["book_id"].to_pylist(), frozenset(known.values())
    listed = frozenset(ids)
    work_of = {e: work for e, work in known.items() if e != work and work in listed}
    groups = _known_groups(ids, work_of)
    kept = _with_best_values(books, groups) if groups else books
    while anew and (groups := _groups(same_works(kept))):  # a work knows more than its editions did
        found = kept["book_id"].to_pylist()
        ranked = [sorted(g, key=lambda i: _rank(counts, settled, found[i])) for g in groups]
        here = {found[i]: found[best] for best, *others in ranked for i in others}
        for edition, work in here.items():
            counts[work] = counts.get(work, 0) + counts.get(edition, 0)
        work_of = {e: here.get(w, w) for e, w in work_of.items()} | here
        kept = _with_best_values(kept, ranked)
    return Works(kept, np.array([i in work_of for i in ids], bool), work_of)


def _rank(
    counts: Mapping[str, int], settled: Container[str], book_id: str
) -> tuple[bool, int, int, str]:
    """By ratings; then so that integers stand in their order, and ISBN-10 before ISBN-13."""
    return book_id not in settled, -counts.get(book_id, 0), len(book_id), book_id


def _known_groups(ids: Sequence[str], work_of: Mapping[str, str]) -> list[list[int]]:
    """Positions of known editions that are listed, each group led by the work."""
    at = {book_id: position for position, book_id in enumerate(ids)}
    groups: dict[int, list[int]] = {}
    for position, book_id in enumerate(ids):
        if book_id in work_of:
            work = at[work_of[book_id]]
            groups.setdefault(work, [work]).append(position)
    return [*groups.values()]


def _groups(numbers: npt.NDArray[np.integer]) -> list[list[int]]:
    """Positions with the same number, where there are several."""
    order = np.argsort(numbers, kind="stable")
    ends = np.flatnonzero(np.diff(numbers[order])) + 1
    return [group.tolist() for group in np.split(order, ends) if len(group) > 1]


def _with_best_values(books: pa.Table, ranked: Sequence[Sequence[int]]) -> pa.Table:
    """The first row of each group with the first value that is no gap, and all rows of no group."""
    others = np.ones(len(books), bool)
    others[[i for _, *rest in ranked for i in rest]] = False
    columns: dict[str, list[Any]] = {name: books[name].to_pylist() for name in books.column_names}
    for values, group in product(columns.values(), ranked):
        known = (values[i] for i in group if not _is_gap(values[i]))
        values[group[0]] = next(known, values[group[0]])
    return pa.table(columns, books.schema).filter(pa.array(others))


def _is_gap(value: object) -> bool:
    return value is None or value == []


def edition_table(
    books: pa.Table, work_of: Mapping[str, str], became: Mapping[str, str | None]
) -> pa.Table:
    """
    Under which id each edition is found: columns edition_id (text) and work_id, by edition_id.

    Args:
        books: The catalogue of works.
        work_of: For each edition that gave way its work.
        became: For each spelling of an id the one it was unified to; null where hopeless.
    """
    works = {str(i): i for i in books["book_id"].to_pylist()}
    works |= {str(edition): work for edition, work in work_of.items()}
    works |= {f: works[b] for f, b in became.items() if f not in works and b in works}
    ordered = sorted(works)
    kind = books.schema.field("book_id").type
    return pa.table(
        {
            "edition_id": pa.array(ordered, pa.string()),
            "work_id": pa.array([works[e] for e in ordered], kind),
        }
    )
