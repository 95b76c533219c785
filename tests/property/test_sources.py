"""Laws of reading: whatever lies there, either every row is accounted for or one error says why."""

import csv
import io
import string
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import SourceError
from tests.sources import Everything, read_all

# Time says nothing on a busy machine.
LAW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

IDS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=8
)
CELLS = st.one_of(
    IDS, st.sampled_from(["", "1", "007", "-1", "1.5", "nan", "é", "\0", " ", "2020-01-02", "a\nb"])
)
HEADERS = st.sampled_from(
    ["user_id,book_id", "userId;isbn;score", "user\titem\tts", "user_id|book_id|rating|date"]
)


@contextmanager
def file_of(data: bytes, name: str = "ratings.csv") -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def read_or_refuse(data: bytes, name: str = "ratings.csv") -> Everything | None:
    with file_of(data, name) as path:
        try:
            return read_all("interactions", path)
        except SourceError as error:
            refusal = str(error)
    assert name in refusal
    return None


def assert_rows_numbered(tables: Everything) -> None:
    numbers = tables.ratings["row"].to_pylist() + tables.rejected["row"].to_pylist()
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


@LAW
@given(st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(data):
    """No bytes make the reader raise anything but SourceError."""
    read_or_refuse(data)


@LAW
@given(HEADERS, st.binary(max_size=200))
def test_random_bytes_below_a_header_are_read_or_refused(header, data):
    """Every row of whatever follows a fitting header has its own number."""
    tables = read_or_refuse(header.encode() + b"\n" + data)
    if tables is not None:
        assert_rows_numbered(tables)


@LAW
@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=5), min_size=1, max_size=12),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_rows_in_are_rows_kept_and_rejected(cells, delimiter, encoding, line_end):
    """Data rows of the file, counted by another reader, are those kept and those rejected."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([["user_id", "book_id", "rating"], *cells])
    tables = read_or_refuse(text.getvalue().encode(encoding))
    assert tables is not None
    assert len(tables.ratings) + len(tables.rejected) == len(cells)
    assert_rows_numbered(tables)


@LAW
@given(st.data())
def test_truncated_file_is_read_or_refused(data):
    """A file cut anywhere is read as far as it goes, or refused."""
    whole = 'user_id,book_id,rating,note\n1,a,5,"é\n"\n2,b,4,""\n'.encode(
        data.draw(st.sampled_from(["utf-8", "utf-16", "cp1252"]))
    )
    tables = read_or_refuse(whole[: data.draw(st.integers(0, len(whole)))])
    assert tables is None or len(tables.ratings) + len(tables.rejected) <= 2


@LAW
@given(st.data())
def test_truncated_parquet_is_refused(data):
    """A Parquet file cut anywhere is refused."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"user_id": ["1", "2"], "book_id": [3, 4]}), sink)
    whole = sink.getvalue().to_pybytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert read_or_refuse(whole[:cut], "ratings.parquet") is None


@LAW
@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=10), st.sampled_from(",;\t|"))
def test_ids_come_out_as_they_went_in(pairs, delimiter):
    """Text ids survive CSV unchanged, whatever they look like."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([["user_id", "book_id"], *pairs])
    tables = read_or_refuse(text.getvalue().encode())
    assert tables is not None
    names = ("user_id", "book_id")
    found = zip(*(tables.ratings[name].to_pylist() for name in names), strict=True)
    assert list(found) == pairs


@LAW
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=10))
def test_integer_ids_of_parquet_become_their_decimal_text(ids):
    """Parquet integers come out as Python would write them."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"user_id": ids, "book_id": ids}), sink)
    tables = read_or_refuse(sink.getvalue().to_pybytes(), "ratings.parquet")
    assert tables is not None
    assert tables.ratings["user_id"].to_pylist() == [str(i) for i in ids]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@LAW
@given(st.text(string.printable, max_size=80))
def test_printable_nonsense_is_read_or_refused(suffix, text):
    """No text makes a reader raise anything but SourceError."""
    read_or_refuse(text.encode(), f"ratings.{suffix}")
