"""Laws of reading: whatever lies there, either every row is accounted for or one error says why."""

import csv
import io
import json
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

from pipelines.data.sources import csv_reading
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


DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["cut", "insert", "lose"]),
        st.integers(0, 5000),
        st.sampled_from([b"\0", b'"', b"\\", b"\r", b"\n\n", b",,", b"\xff", b"x" * 300]),
    ),
    max_size=4,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "delimiter": st.sampled_from([",", ";", "tab", "^"]),
        "encoding": st.sampled_from(["utf-8", "latin-1", "utf-16"]),
        "quoting": st.sampled_from(["doubled", "backslash", "triple", "none"]),
    },
)


@contextmanager
def file_of(data: bytes, name: str = "ratings.csv") -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def read_or_refuse(
    data: bytes, name: str = "ratings.csv", source: str = "interactions", **options: str
) -> Everything | None:
    with file_of(data, name) as path:
        try:
            return read_all(source, path, **options)
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


def damaged(data: bytes, damage: list[tuple[str, int, bytes]]) -> bytes:
    """Bytes of which some were cut off, put in or lost."""
    for kind, where, what in damage:
        at = where % (len(data) + 1)
        put_in = what if kind == "insert" else b""
        behind = b"" if kind == "cut" else data[at + (len(what) if kind == "lose" else 0) :]
        data = data[:at] + put_in + behind
    return data


def rows_counted_by_another_reader(text: str) -> int:
    """Lines that hold more than blanks and delimiters, where no value is in quotes."""
    lines = io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")).read().split("\n")
    return sum(1 for line in lines if line.strip(" \t,"))


@pytest.mark.parametrize("source", ["interactions", "book-crossing"])
@LAW
@given(
    st.permutations(["user_id", "isbn", "rating", "timestamp", "note"]),
    st.lists(st.lists(CELLS, min_size=3, max_size=6), max_size=20),
    st.sampled_from(",;\t|^~:"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "shift_jis"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONE]),
    DAMAGE,
    OPTIONS,
)
def test_damaged_files_of_any_make_are_read_or_refused(
    source, header, cells, delimiter, encoding, line_end, quoting, damage, options
):
    """Whatever a file suffered, each row is kept or set aside once, or one error says why."""
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter=delimiter, lineterminator=line_end, quoting=quoting, escapechar="\\"
    )
    writer.writerows([header, *cells])
    data = damaged(text.getvalue().encode(encoding, errors="replace"), damage)
    tables = read_or_refuse(data, source=source, **options)
    if tables is not None:
        assert_rows_numbered(tables)


@LAW
@given(
    st.lists(st.text(',1ab" \\\0\x85', max_size=8), min_size=1, max_size=30),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([7, 64, 1 << 20]),
)
def test_without_quotes_every_line_is_a_row(lines, line_end, block_bytes):
    """Lines in are rows kept and set aside, wherever blocks end."""
    text = "user_id,book_id\n" + line_end.join([*lines, "1,2", ""])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_reading, "BLOCK_BYTES", block_bytes)
        patch.setattr(csv_reading, "HEAD_BYTES", block_bytes)
        tables = read_or_refuse(text.encode(), quoting="none", delimiter=",", encoding="utf-8")
    assert tables is not None
    rows = rows_counted_by_another_reader(text) - 1
    assert len(tables.ratings) + len(tables.rejected) == rows
    assert_rows_numbered(tables)


@LAW
@given(st.data())
def test_blocks_leave_no_seams(data):
    """A file gives the same rows whatever is read of it at a time."""
    lines = st.text('a1",;\\ ', max_size=10)
    text = "user_id,book_id,note\n" + "\n".join(data.draw(st.lists(lines, max_size=25)))
    found = []
    for block_bytes in (5, 40, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_reading, "BLOCK_BYTES", block_bytes)
            tables = read_or_refuse(text.encode())
        found.append(tables and (tables.ratings.to_pydict(), tables.rejected.to_pydict()))
    assert found[0] == found[1] == found[2]


@LAW
@given(
    st.lists(
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | IDS, st.lists),
        max_size=12,
    )
)
def test_json_lines_of_mixed_types_are_read_or_refused(values):
    """Each line is kept or set aside, whatever stands where an id, a rating or a time should."""
    names = ("user_id", "book_id", "rating", "timestamp")
    objects = [dict.fromkeys(names, value) for value in [1, *values]]
    text = "".join(f"{json.dumps(each)}\n" for each in objects)
    tables = read_or_refuse(text.encode(), "ratings.jsonl")
    if tables is not None:
        assert len(tables.ratings) + len(tables.rejected) == len(objects)
        assert_rows_numbered(tables)


@pytest.mark.parametrize("before", ["1,", '1,"', '1,2,"'])
@pytest.mark.parametrize("after", ["", '",5', ",5"])
def test_lines_of_ten_megabytes_are_rows_like_others(before, after):
    """A line of 10 MB is kept or set aside, and so are those around it."""
    line = f"{before}{'x' * 10_000_000}{after}"
    text = f"user_id,book_id,rating\n1,a,5\n{line}\n2,b,4\n{line}\n3,c,3\n"
    tables = read_or_refuse(text.encode())
    assert tables is not None
    assert [row for row in tables.ratings["row"].to_pylist() if row % 2] == [1, 3, 5]
    assert_rows_numbered(tables)
    assert len(tables.ratings) + len(tables.rejected) == 5
