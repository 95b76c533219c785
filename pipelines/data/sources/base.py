"""What a source is, and what it yields."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa

Order = Literal["timestamp", "row", "none"]
"""What orders a reader's history: `rated_at`, the order of rows, or nothing that is known."""


@dataclass(frozen=True)
class SourceTables:
    """
    Everything one source holds, in one shape.

    `rejected` names the rows that could not be read as a row at all, so that every data row of
    every file stands either in its table or there.
    """

    ratings: pa.Table
    """Schema RAW_RATINGS."""
    books: pa.Table | None
    """Schema BOOKS; None where no catalogue was given."""
    rejected: pa.Table
    """Schema QUARANTINE."""
    order: Order
    rating_scale: tuple[float, float] | None
    """Lowest and highest rating; None where it has to be inferred."""
    label: str
    """One line on what this data is."""
    files: tuple[Path, ...]
    """What was read, for fingerprints."""


class Source(Protocol):
    """One format: whatever lies there, the same tables come out."""

    name: str

    def read(self, path: Path | None) -> SourceTables:
        """
        Read everything below `path`.

        Raises:
            SourceError: naming the file, what is wrong with it and what to do.
        """
