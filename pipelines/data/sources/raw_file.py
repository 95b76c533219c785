"""Rows of a file as read: the columns wanted, values as found, and the rows that are torn."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from upath import UPath

from pipelines.data.quarantine import line_text, merged, quarantine_table, split_off
from pipelines.data.sources.base import Batch
from pipelines.errors import SourceError

Place = UPath | str
"""A file; or what it is called, if it is none."""
ChooseColumns = Callable[[Place, Sequence[str]], dict[str, int]]
"""From a file and its header to our column names and where they stand; SourceError if unfit."""


class TornRow(NamedTuple):
    """A row that could not be taken apart."""

    row: int
    rule: str
    text: str


@dataclass(frozen=True)
class RawBatch:
    """Columns under our names; from text every one is text, from Parquet it is typed as found."""

    path: Place
    columns: pa.Table
    found_as: Mapping[str, str]
    """For each of our column names the name in the file."""
    rows: npt.NDArray[np.int64]
    """For each row of `columns` the 1-based number of the data row."""
    torn: tuple[TornRow, ...] = ()
    repairs: Mapping[str, int] = field(default_factory=dict)
    """How many rows were mended, and how."""

    @property
    def n_rows(self) -> int:
        """Data rows, torn ones included."""
        return len(self.rows) + len(self.torn)

    def after(self, rows: int) -> "RawBatch":
        """The same, numbered behind `rows` other ones."""
        torn = tuple(row._replace(row=row.row + rows) for row in self.torn)
        return replace(self, rows=self.rows + rows, torn=torn)

    def part(
        self, table: pa.Table, dataset: str, checks: Mapping[str, npt.NDArray[np.bool_]]
    ) -> Batch:
        """
        Part `table`, made of all of `columns`, into what can be used and what is rejected.

        Raises:
            SourceError: rows went missing on the way, which would be a defect of this program.
        """
        originals = self.columns.rename_columns(list(self.found_as.values()))
        kept, rejected = split_off(table, dataset, checks, originals)
        torn = quarantine_table(
            dataset,
            [torn.row for torn in self.torn],
            [torn.rule for torn in self.torn],
            [line_text(torn.text) for torn in self.torn],
        )
        rejected = merged([rejected, torn])
        if len(kept) + len(rejected) != self.n_rows:
            raise SourceError(
                f"{self.path}: of {self.n_rows} rows {len(kept)} kept and "
                f"{len(rejected)} rejected do not add up: please report this"
            )
        return Batch(kept, rejected, self.repairs)


def joined(parts: Iterable[Iterable[RawBatch]]) -> Iterator[RawBatch]:
    """
    Files of one dataset as one: row numbers run on.

    Raises:
        SourceError: a part has other columns than the first one, or there is no row in any.
    """
    before, first = 0, None
    for part in parts:
        behind = before
        for batch in part:
            first = first or batch
            if set(batch.found_as) != set(first.found_as):
                raise SourceError(
                    f"{batch.path} has {', '.join(batch.found_as)} where {first.path} has "
                    f"{', '.join(first.found_as)}: give all parts the same columns"
                )
            behind += batch.n_rows
            yield batch.after(before)
        before = behind
    if first is not None and before == 0:
        raise SourceError(f"{first.path} has a header but no rows: nothing to read")


def whole(batches: Iterable[RawBatch]) -> RawBatch:
    """All rows of a file that is small enough to be held in memory."""
    found = list(batches)
    return replace(
        found[0],
        columns=pa.concat_tables([batch.columns for batch in found], promote_options="permissive"),
        rows=np.concatenate([batch.rows for batch in found]),
        torn=tuple(torn for batch in found for torn in batch.torn),
    )
