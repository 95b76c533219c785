"""What a source is, and what it yields."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa
from upath import UPath

from pipelines.data.schemas import QUARANTINE, empty

Order = Literal["timestamp", "row", "none"]
"""What orders a reader's history: `rated_at`, the order of rows, or nothing that is known."""
BookIds = Literal["isbn", "opaque"]
"""What book ids are: ISBNs, which cleaning may repair, or whatever the source calls its books."""


@dataclass(frozen=True)
class Batch:
    """Some rows of one dataset, in the order of the source."""

    kept: pa.Table
    """Schema RAW_RATINGS or ENCODED_RATINGS, BOOKS or READERS."""
    rejected: pa.Table = field(default_factory=lambda: empty(QUARANTINE))
    """Schema QUARANTINE: the rows that could not be read as a row at all."""
    repairs: Mapping[str, int] = field(default_factory=dict)
    """For each repair of rows that were torn, how many it mended."""


Batches = Iterable[Batch]
"""A dataset, read as it is iterated, once. Errors of the source come up then: SourceError."""


@dataclass(frozen=True)
class SourceTables:
    """
    Everything one source holds, in one shape.

    Every data row of every file stands in one batch of its dataset, kept or rejected.
    """

    ratings: Batches
    """Schema RAW_RATINGS or ENCODED_RATINGS."""
    label: str
    """One line on what this data is."""
    books: Batches | None = None
    """Schema BOOKS; None where no catalogue was given."""
    readers: Batches | None = None
    """Schema READERS; None where nothing is known of readers."""
    order: Order | None = None
    """None: by `rated_at` if any rating has one, else nothing orders them."""
    rating_scale: tuple[float, float] | None = None
    """Lowest and highest rating; None where it has to be inferred."""
    files: tuple[UPath | Path, ...] = ()
    """What is read, for fingerprints."""
    book_ids: BookIds = "opaque"
    catalogue_is_complete: bool = True
    """False: books may be rated that the catalogue lacks, and their ratings are kept."""
    editions: Callable[[], pa.Table] | None = None
    """
    Asked when all else was read.

    Columns edition_id and work_id, both text: under which ids books were known before, their own
    among them. None where nothing was.
    """


class Source(Protocol):
    """
    One format: whatever lies there, the same tables come out.

    What its constructor takes are its options: each a keyword with a default, its value a text.
    """

    name: str

    def read(self, location: str | None) -> SourceTables:
        """
        Read everything at `location`: a path, the URL of a file system, or what the source knows.

        Raises:
            SourceError: naming the file, what is wrong with it and what to do.
        """
