"""A file by its name: CSV, JSON lines or Parquet."""

from collections.abc import Iterator, Sequence

from upath import UPath

from pipelines.data.sources.csv_blocks import Mend
from pipelines.data.sources.csv_reading import read_csv
from pipelines.data.sources.dialect import ForcedDialect
from pipelines.data.sources.json_reading import read_json_lines
from pipelines.data.sources.parquet_reading import read_parquet
from pipelines.data.sources.raw_file import ChooseColumns, RawBatch, joined

_TEXT = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")
SUFFIXES = (*(f"{suffix}.gz" for suffix in _TEXT), *_TEXT, ".parquet")


class ReadsFiles:
    """A source whose options say how its text files are written, where that is not detected."""

    def __init__(
        self,
        *,
        delimiter: str | None = None,
        encoding: str | None = None,
        quoting: str | None = None,
    ) -> None:
        self.forced = ForcedDialect(delimiter, encoding, quoting)


def read_files(
    paths: Sequence[UPath],
    choose: ChooseColumns,
    forced: ForcedDialect,
    mend: Mend | None = None,
) -> Iterator[RawBatch]:
    """
    The wanted columns of one or several files as one; row numbers run on.

    Raises:
        SourceError: naming the file, what is wrong with it and what to do.
    """
    return joined(_read(path, choose, forced, mend) for path in paths)


def has_suffix(path: UPath) -> bool:
    """Whether the name says that it can be read."""
    return path.name.lower().endswith(SUFFIXES)


def without_suffix(path: UPath) -> str:
    """Where a file lies, without what tells its kind."""
    found = str(path)
    suffix = next((end for end in SUFFIXES if found.lower().endswith(end)), "")
    return found[: len(found) - len(suffix)]


def _read(
    path: UPath, choose: ChooseColumns, forced: ForcedDialect, mend: Mend | None
) -> Iterator[RawBatch]:
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return read_parquet(path, choose)
    if name.endswith((".jsonl", ".ndjson")):
        return read_json_lines(path, choose, forced)
    return read_csv(path, choose, forced, mend)
