"""The simulated sample that comes with the project."""

from pipelines.data.sources.base import Batch, SourceTables
from pipelines.data.sources.sample import LABEL, read_sample


class SampleSource:
    """Needs no path: readers and ratings are simulated, the same ones every time."""

    name = "sample"

    def read(self, location: str | None) -> SourceTables:  # noqa: ARG002 - there is nothing to read
        """The sample; `location` is ignored."""
        ratings, books = read_sample()
        return SourceTables(
            ratings=[Batch(ratings)],
            books=[Batch(books)],
            order="timestamp",
            rating_scale=(1.0, 5.0),
            label=LABEL,
        )
