import gzip
import json
import os
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from pipelines.data.schemas import BOOKS, QUARANTINE, RAW_RATINGS
from pipelines.data.sources import csv_reading, text_lines
from pipelines.errors import SourceError
from tests.sources import read_all


@pytest.fixture
def read(tmp_path):
    """Read what a file of this content holds."""

    def write_and_read(content, name="ratings.csv"):
        path = tmp_path / name
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(data)
        return read_all("interactions", path)

    return write_and_read


@pytest.fixture
def read_parquet(tmp_path):
    def write_and_read(**columns):
        pq.write_table(pa.table(columns), tmp_path / "ratings.parquet")
        return read_all("interactions", tmp_path / "ratings.parquet")

    return write_and_read


def rows(tables):
    names = ("user_id", "book_id", "rating")
    return list(zip(*(tables.ratings[name].to_pylist() for name in names), strict=True))


def rejected(tables):
    assert tables.rejected.schema == QUARANTINE
    return [(r["row"], r["rule"]) for r in tables.rejected.to_pylist()]


PLAIN = "user_id,book_id,rating\n1,a,5\n2,b,3.5\n"
PLAIN_ROWS = [("1", "a", 5.0), ("2", "b", 3.5)]


def test_plain_file_is_read_without_order_or_scale(read):
    tables = read(PLAIN)
    assert tables.ratings.schema == RAW_RATINGS
    assert rows(tables) == PLAIN_ROWS
    assert (tables.source.order, tables.source.rating_scale, tables.books) == (None, None, None)
    assert tables.ratings["row"].to_pylist() == [1, 2]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_told_by_the_header(read, delimiter):
    assert rows(read(PLAIN.replace(",", delimiter))) == PLAIN_ROWS


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind_are_known(read, line_end):
    assert rows(read(PLAIN.replace("\n", line_end))) == PLAIN_ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_encodings_are_told_by_their_mark(read, encoding):
    tables = read("user_id,book_id\nzoë,Ω\n".encode(encoding))
    assert rows(tables) == [("zoë", "Ω", None)]


@pytest.mark.parametrize(
    ("data", "guess", "user_id"),
    [(b"zo\xeb \x96", "cp1252", "zoë \N{EN DASH}"), (b"zo\xeb\x81", "latin-1", "zoë\x81")],
)
def test_other_encodings_are_guessed_and_logged(read, data, guess, user_id):
    with capture_logs() as logs:
        tables = read(b"user_id,book_id\n" + data + b",1\n")
    assert [e["encoding"] for e in logs if e["event"] == "dialect_detected"] == [guess]
    found = tables.ratings["user_id"].to_pylist() or tables.rejected["original"].to_pylist()
    assert user_id in found[0]


def test_gzip_is_unpacked(read):
    assert rows(read(gzip.compress(PLAIN.encode()), "ratings.csv.gz")) == PLAIN_ROWS


def test_quoted_values_may_hold_delimiters_quotes_and_line_ends(read):
    tables = read('user_id,book_id,review\n1,"a,b","he said ""no""\nand left"\n2,c,x\n')
    assert [r[1] for r in rows(tables)] == ["a,b", "c"]


def test_blocks_leave_no_seams(read, monkeypatch):
    monkeypatch.setattr(csv_reading, "HEAD_BYTES", 64)
    monkeypatch.setattr(csv_reading, "BLOCK_BYTES", 64)
    tables = read("user_id,book_id,note\n" + '1,a,"x\n\n,y"\n2\n' * 50)
    assert tables.ratings["row"].to_pylist() == list(range(1, 100, 2))
    assert rejected(tables) == [(row, "wrong_field_count") for row in range(2, 101, 2)]


def test_line_beyond_all_bounds_is_cut_and_costs_no_other(read, monkeypatch):
    monkeypatch.setattr(csv_reading, "HEAD_BYTES", 64)
    monkeypatch.setattr(csv_reading, "BLOCK_BYTES", 64)
    monkeypatch.setattr(text_lines, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(text_lines, "KEPT_OF_A_LINE", 500)
    with capture_logs() as logs:
        tables = read(f"user_id,book_id\n1,{'a' * 5000}\n2,b\n")
    assert [e["kept_bytes"] for e in logs if e["event"] == "line_cut"] == [500]
    assert rejected(tables) == [(1, "malformed_id")]
    assert rows(tables) == [("2", "b", None)]


def test_last_line_needs_no_line_end(read):
    assert rows(read(PLAIN.rstrip("\n"))) == PLAIN_ROWS


@pytest.mark.parametrize(
    "header", ["userId,MovieID,Score", "READER_ID,item id,Stars", '"User-ID","ISBN","Book-Rating"']
)
def test_usual_names_are_understood_and_logged(read, header):
    with capture_logs() as logs:
        tables = read(f"{header}\n1,a,5\n")
    assert rows(tables) == [("1", "a", 5.0)]
    (entry,) = [e for e in logs if e["event"] == "columns_recognised"]
    assert entry["columns"]["user_id"] == header.split(",")[0].strip('"')


def test_no_column_takes_the_place_of_a_field_of_the_log_line(read):
    """Under a scheduler each line is read again, and `timestamp` has to be a time there."""
    with capture_logs() as logs:
        read("user_id,book_id,timestamp\n1,a,1700000000\n")
    assert not [e for e in logs if "timestamp" in e]


def test_exact_name_is_preferred_to_an_alias(read):
    assert rows(read("user_id,isbn,book_id\n1,wrong,right\n")) == [("1", "right", None)]


def test_extra_and_repeated_columns_are_ignored(read):
    assert rows(read("x,user_id,book_id,user_id\n9,1,a,8\n")) == [("1", "a", None)]


def test_missing_column_names_those_found_and_wanted(read):
    with pytest.raises(SourceError, match=r"book_id.*\(user_id, rating\)"):
        read("user_id,rating\n1,5\n")


def test_without_rating_column_every_row_is_an_implicit_positive(read):
    assert rows(read("user_id,book_id\n1,a\n")) == [("1", "a", None)]


def test_empty_rating_is_an_implicit_positive(read):
    assert rows(read("user_id,book_id,rating\n1,a,\n2,b,4\n")) == [("1", "a", None), ("2", "b", 4)]


@pytest.mark.parametrize("user_id", ["007", " 7", "1.0", "NA", "null", "-0", "é", "x" * 255])
def test_ids_are_text_exactly_as_found(read, user_id):
    assert rows(read(f"user_id,book_id\n{user_id},a\n")) == [(user_id, "a", None)]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (",a,5", "missing_user_id"),
        ("  ,a,5", "missing_user_id"),
        ("1,,5", "missing_book_id"),
        ("1,a\x00,5", "malformed_id"),
        ('1,"a\nb",5', "malformed_id"),
        ("1,a\x85,5", "malformed_id"),
        (f"1,{'a' * 256},5", "malformed_id"),
        ("1,a,five", "rating_not_a_number"),
        ("1,a,NaN", "rating_not_a_number"),
        ("1,a,inf", "rating_not_a_number"),
        ("1,a,1e999", "rating_not_a_number"),
        ("1,a,1_0", "rating_not_a_number"),
        ("1,a", "wrong_field_count"),
        ("1,a,5,6", "wrong_field_count"),
        ("\x00", "wrong_field_count"),
        ('1,"a,5', "unclosed_quote"),
    ],
)
def test_broken_row_is_rejected_by_its_rule_and_number(read, line, rule):
    tables = read(f"user_id,book_id,rating\n1,x,5\n\n \t\n{line}\n   \n1,y,4\n")
    assert rejected(tables) == [(2, rule)]
    assert tables.ratings["row"].to_pylist() == [1, 3]


def test_rejected_row_is_shown_as_found(read):
    tables = read("UserID,Item,rating\n1,a,five\n1,b,3,4\n")
    originals = tables.rejected["original"].to_pylist()
    assert json.loads(originals[0]) == {"UserID": "1", "Item": "a", "rating": "five"}
    assert originals[1] == "1,b,3,4"


def test_nul_in_a_torn_row_is_replaced(read):
    tables = read("user_id,book_id\n\x00\n")
    assert tables.rejected["original"].to_pylist() == ["\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize(
    "written",
    [
        "1577934245",
        "1577934245000",
        "1577934245000000",
        "1577934245.0",
        "2020-01-02T03:04:05Z",
        "2020-01-02 03:04:05",
        "2020-01-02T04:04:05+01:00",
    ],
)
def test_timestamps_are_epochs_or_iso_text(read, written):
    tables = read(f"user_id,book_id,timestamp\n1,a,{written}\n")
    assert tables.ratings["rated_at"].to_pylist() == [datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)]


@pytest.mark.parametrize("written", ["yesterday", "now", "2020-13-45", "1e300", "-1e15", "nan"])
def test_unreadable_timestamp_is_rejected(read, written):
    good = "1,b,2020-01-02\n1,c,1577934245\n1,d,1577934246\n"
    tables = read(f"user_id,book_id,timestamp\n1,a,{written}\n{good}")
    assert rejected(tables) == [(1, "timestamp_unreadable")]


def test_empty_timestamp_is_unknown(read):
    tables = read("user_id,book_id,timestamp\n1,a,\n1,b,2020-01-02\n")
    assert tables.ratings["rated_at"].null_count == 1
    assert rejected(tables) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("user_id,book_id\n", "no rows"),
        ("user_id,book_id\n\n \n", "no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "no column"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00", "not text"),
        ("user_id,book_id\n1,a\n".encode("utf-16-le"), "not text"),
        (b"\xff\xfeu", "not utf-16 throughout"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], "damaged gzip"),
        (b"PAR1....", "not text"),
    ],
)
def test_file_that_is_no_table_gives_one_clear_error(read, content, message):
    with pytest.raises(SourceError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_missing_file_and_missing_path_are_named(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere\.csv does not exist"):
        read_all("interactions", tmp_path / "nowhere.csv")
    with pytest.raises(SourceError, match="needs a path"):
        read_all("interactions", None)


def test_unreadable_file_is_refused(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(PLAIN)
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(SourceError, match="Permission denied"):
            read_all("interactions", path)
    finally:
        if root:
            os.seteuid(0)


def test_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "ratings.csv")
    with pytest.raises(SourceError, match="no regular file"):
        read_all("interactions", tmp_path / "ratings.csv")


def test_folder_where_a_file_is_wanted_is_refused(tmp_path):
    (tmp_path / "ratings.csv").mkdir()
    with pytest.raises(SourceError, match="is a folder"):
        read_all("interactions", tmp_path)


def test_folder_may_hold_books(tmp_path):
    (tmp_path / "ratings.tsv").write_text("user_id\tbook_id\n1\ta\n")
    (tmp_path / "books.csv").write_text(
        "id;Title;Author;year;lang;categories;isbn;colour\n"
        'a;T;"X, Y|Z";1999.0;en;"one,two";0306406152;red\n'
        "b;;;n/a;;;;\n"
        ";t;;;;;;\n"
        "c;t\n"
    )
    tables = read_all("interactions", tmp_path)
    first, second = tables.books.to_pylist()
    assert tables.books.schema == BOOKS
    assert (first["book_id"], first["title"], first["year"]) == ("a", "T", 1999)
    assert (first["authors"], first["genres"]) == (["X, Y", "Z"], ["one", "two"])
    assert first["isbn13"] == "0306406152"
    assert (second["title"], second["year"], second["authors"]) == (None, None, [])
    assert rejected(tables) == [(3, "missing_book_id"), (4, "wrong_field_count")]
    assert set(tables.rejected["dataset"].to_pylist()) == {"books"}
    assert len(tables.source.files) == 2


def test_folder_without_ratings_names_what_it_looked_for(tmp_path):
    with pytest.raises(SourceError, match=r"ratings\.csv"):
        read_all("interactions", tmp_path)


def test_folder_with_two_ratings_files_is_ambiguous(tmp_path):
    for name in ("ratings.csv", "ratings.tsv"):
        (tmp_path / name).write_text(PLAIN)
    with pytest.raises(SourceError, match=r"ratings\.csv and ratings\.tsv"):
        read_all("interactions", tmp_path)


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        (pa.array([1, 2]), ["1", "2"]),
        (pa.array([1.0, 2.0**60]), ["1", str(2**60)]),
        (pa.array([1.5, -3.0]), ["1.5", "-3"]),
        (pa.array(["007", "x"]).dictionary_encode(), ["007", "x"]),
        (pa.array(["007", "x"], pa.large_string()), ["007", "x"]),
    ],
)
def test_parquet_ids_become_text(read_parquet, ids, texts):
    tables = read_parquet(user_id=ids, book_id=["a", "b"], rating=[1, 2])
    assert tables.ratings["user_id"].to_pylist() == texts


def test_parquet_null_and_nan_ids_are_missing(read_parquet):
    tables = read_parquet(user_id=[1.0, None, float("nan")], book_id=["a", "b", "c"])
    assert rejected(tables) == [(2, "missing_user_id"), (3, "missing_user_id")]


def test_parquet_nan_rating_is_rejected_and_null_is_implicit(read_parquet):
    tables = read_parquet(user_id=["1", "2"], book_id=["a", "b"], rating=[float("nan"), None])
    assert rejected(tables) == [(1, "rating_not_a_number")]
    assert rows(tables) == [("2", "b", None)]
    assert json.loads(tables.rejected["original"][0].as_py())["rating"] == "nan"


@pytest.mark.parametrize(
    "times",
    [
        pa.array([1577923200 * 10**9], pa.timestamp("ns")),
        pa.array([1577923200], pa.timestamp("s", "Europe/Berlin")),
        pa.array([date(2020, 1, 2)]),
        pa.array([1577923200]),
        pa.array([1577923200000.0]),
        pa.array(["2020-01-02"]),
    ],
)
def test_parquet_times_of_every_type_are_understood(read_parquet, times):
    tables = read_parquet(user_id=["1"], book_id=["a"], timestamp=times)
    assert tables.ratings["rated_at"].to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("column", "value"),
    [("user_id", [1]), ("user_id", True), ("rating", date(2020, 1, 1)), ("timestamp", [1])],
)
def test_parquet_column_of_an_unfit_type_is_refused(read_parquet, column, value):
    columns = {"user_id": ["1"], "book_id": ["a"]} | {column: [value]}
    with pytest.raises(SourceError, match=f"column {column}"):
        read_parquet(**columns)


def test_parquet_without_a_needed_column_is_refused(read_parquet):
    with pytest.raises(SourceError, match="no column book_id"):
        read_parquet(user_id=[1])


def test_parquet_without_rows_is_refused(read_parquet):
    with pytest.raises(SourceError, match="no rows"):
        read_parquet(user_id=pa.array([], pa.string()), book_id=pa.array([], pa.string()))


def test_parquet_text_that_is_not_utf8_is_refused(read_parquet):
    broken = pa.array([b"\xff"]).view(pa.string())
    with pytest.raises(SourceError, match="UTF8"):
        read_parquet(user_id=broken, book_id=["a"])


def test_truncated_parquet_is_refused(tmp_path):
    path = tmp_path / "ratings.parquet"
    pq.write_table(pa.table({"user_id": [1], "book_id": [2]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="Parquet"):
        read_all("interactions", path)


def test_parquet_lists_are_kept_as_lists(tmp_path):
    pq.write_table(pa.table({"user_id": [1], "book_id": [2]}), tmp_path / "ratings.parquet")
    books = pa.table({"book_id": [2], "genres": [["a,b", "c"]], "year": [1999]})
    pq.write_table(books, tmp_path / "books.parquet")
    (book,) = read_all("interactions", tmp_path).books.to_pylist()
    assert (book["book_id"], book["genres"], book["year"]) == ("2", ["a,b", "c"], 1999)


@pytest.mark.parametrize("mark", ["\x1b", "\x85", "\x07", "\u2028"])
def test_what_is_no_text_is_refused_in_one_printable_line(read, mark):
    with pytest.raises(SourceError, match="has no column user_id or book_id") as refused:
        read(f"x{mark},y\n1,2\n")
    assert str(refused.value).isprintable()
