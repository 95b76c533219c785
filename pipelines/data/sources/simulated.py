"""The simulated sample that comes with the project."""

from pathlib import Path

from pipelines.data.schemas import QUARANTINE, empty
from pipelines.data.sources.base import SourceTables
from pipelines.data.sources.sample import LABEL, read_sample


class SampleSource:
    """Needs no path: readers and ratings are simulated, the same ones every time."""

    name = "sample"

    def read(self, path: Path | None) -> SourceTables:  # noqa: ARG002 - there is nothing to read
        """The sample; `path` is ignored."""
        ratings, books = read_sample()
        return SourceTables(
            ratings=ratings,
            books=books,
            rejected=empty(QUARANTINE),
            order="timestamp",
            rating_scale=(1.0, 5.0),
            label=LABEL,
            files=(),
        )
