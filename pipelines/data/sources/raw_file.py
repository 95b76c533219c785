"""A file as read: the columns wanted, values as found, and the rows that are no rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.data.quarantine import line_text, merged, quarantine_table, split_off
from pipelines.errors import SourceError

ChooseColumns = Callable[[Path, Sequence[str]], dict[str, int]]
"""From a file and its header to our column names and where they stand; SourceError if unfit."""


@dataclass(frozen=True)
class RawFile:
    """Columns under our names; from CSV every one is text, from Parquet it is typed as found."""

    path: Path
    columns: pa.Table
    found_as: Mapping[str, str]
    """For each of our column names the name in the file."""
    rows: npt.NDArray[np.int64]
    """For each row of `columns` the 1-based number of the data row."""
    torn: tuple[tuple[int, str], ...] = ()
    """Number and text of the rows with too few or too many fields."""

    @property
    def n_rows(self) -> int:
        """Data rows in the file, torn ones included."""
        return len(self.rows) + len(self.torn)

    def part(
        self, table: pa.Table, dataset: str, checks: Mapping[str, npt.NDArray[np.bool_]]
    ) -> tuple[pa.Table, pa.Table]:
        """
        Part `table`, made of all of `columns`, into what can be used and what is rejected.

        Raises:
            SourceError: rows went missing on the way, which would be a defect of this program.
        """
        originals = self.columns.rename_columns(list(self.found_as.values()))
        kept, rejected = split_off(table, dataset, checks, originals)
        torn = quarantine_table(
            dataset,
            [row for row, _ in self.torn],
            ["wrong_field_count"] * len(self.torn),
            [line_text(text) for _, text in self.torn],
        )
        rejected = merged([rejected, torn])
        if len(kept) + len(rejected) != self.n_rows:
            raise SourceError(
                f"{self.path}: {self.n_rows} rows in the file, {len(kept)} kept and "
                f"{len(rejected)} rejected do not add up: please report this"
            )
        return kept, rejected


def file_bytes(path: Path) -> bytes:
    """
    All of a regular file.

    Raises:
        SourceError: missing, not a file, empty or not readable.
    """
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder: name a file in it")
        if not path.is_file():
            raise SourceError(f"{path} does not exist or is no regular file: check the path")
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read ({error.strerror or error}): check its permissions"
        ) from error
    if not data:
        raise SourceError(f"{path} is empty: it needs a header and at least one row")
    return data
