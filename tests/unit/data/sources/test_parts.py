"""Interactions as JSON lines, and in several parts."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import SourceError
from tests.sources import read_all


def rows(found):
    names = ("user_id", "book_id", "rating")
    return list(zip(*(found.ratings[name].to_pylist() for name in names), strict=True))


def lines(*objects):
    return "".join(each if isinstance(each, str) else f"{json.dumps(each)}\n" for each in objects)


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, name="ratings.jsonl"):
        data = content.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return read_all("interactions", tmp_path / name)

    return write_and_read


@pytest.mark.parametrize("name", ["ratings.jsonl", "ratings.ndjson.gz"])
def test_json_lines_are_read_whatever_the_order_of_names(read, name):
    found = read(
        lines({"user": 1, "item": "a", "stars": 5}, {"stars": 3.5, "item": 2, "user": "x"}), name
    )
    assert rows(found) == [("1", "a", 5.0), ("x", "2", 3.5)]


@pytest.mark.parametrize(
    ("found_id", "text"),
    [
        ("2020-01-02", "2020-01-02"),
        (2**70, str(2**70)),
        (1.0, "1"),
        (1.5, "1.5"),
        ("007", "007"),
        ("\ud800", "?"),
        (True, "true"),
    ],
)
def test_json_ids_are_text_as_found(read, found_id, text):
    assert rows(read(lines({"user_id": found_id, "book_id": 1}))) == [(text, "1", None)]


@pytest.mark.parametrize(
    "line",
    ["5\n", "[1]\n", '{"user_id":\n', "null\n", "\x00\n", "[" * 100_000 + "\n", "9" * 9999 + "\n"],
)
def test_line_that_is_no_object_is_torn(read, line):
    good = {"user_id": "1", "book_id": "a"}
    found = read(lines(good, line, "\n", {"user_id": "1", "book_id": "b"}))
    assert [(r["row"], r["rule"]) for r in found.rejected.to_pylist()] == [(2, "not_a_json_object")]
    assert found.ratings["row"].to_pylist() == [1, 3]


def test_json_object_without_a_name_lacks_the_value(read):
    found = read(lines({"user_id": 1, "book_id": 2, "rating": 4}, {"user_id": 1}, {"book_id": 7}))
    assert found.rejected["rule"].to_pylist() == ["missing_book_id", "missing_user_id"]


def test_json_lists_stay_lists(tmp_path):
    (tmp_path / "ratings.jsonl").write_text(lines({"user_id": 1, "book_id": 2}))
    books = lines({"id": 2, "genres": ["a,b", "c;d", None], "authors": "X|Y", "year": 1999})
    (tmp_path / "books.jsonl").write_text(books)
    (book,) = read_all("interactions", tmp_path).books.to_pylist()
    assert (book["genres"], book["authors"], book["year"]) == (["a,b", "c;d"], ["X", "Y"], 1999)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("\n\n", "is empty"), ("{}\n", "has no column"), ("[]\n", "has no column")],
)
def test_json_without_a_usable_object_is_refused(read, content, message):
    with pytest.raises(SourceError, match=message):
        read(content)


@pytest.fixture
def parts(tmp_path):
    """Ten readers of one book each, over twelve files in a folder."""

    def write(folder):
        place = tmp_path / folder
        place.mkdir(parents=True)
        for part in range(12):
            ids = [f"{part}-{i}" for i in range(10)]
            pq.write_table(
                pa.table({"user_id": ids, "book_id": ids}), place / f"part-{part}.parquet"
            )
        (place / "_SUCCESS").touch()
        (place / ".part-0.crc").touch()
        return place

    return write


@pytest.mark.parametrize(
    ("folder", "below"), [("x/ratings", "x"), ("x/y", "x/y"), ("x/ratings.parquet", "x")]
)
def test_row_numbers_run_on_over_parts_in_natural_order(parts, tmp_path, folder, below):
    parts(folder)
    found = read_all("interactions", tmp_path / below)
    assert found.ratings["row"].to_pylist() == list(range(1, 121))
    assert found.ratings["user_id"].to_pylist() == [
        f"{p}-{i}" for p in range(12) for i in range(10)
    ]
    assert len(found.source.files) == 12


def test_several_files_of_ratings_are_parts(tmp_path):
    (tmp_path / "ratings.csv").write_text("user_id,book_id,rating\n1,a,5\n,b,5\n")
    (tmp_path / "ratings_second.csv").write_text("rating;book_id;user_id\n4;c;3\n")
    (tmp_path / "readme.txt").write_text("nothing of it")
    found = read_all("interactions", tmp_path)
    assert rows(found) == [("1", "a", 5.0), ("3", "c", 4.0)]
    assert found.ratings["row"].to_pylist() + found.rejected["row"].to_pylist() == [1, 3, 2]


def test_parts_of_different_kinds_are_one_table(parts, tmp_path):
    parts("x")
    (tmp_path / "x" / "part-99.csv").write_text("user_id,book_id\n007,a\n")
    (tmp_path / "x" / "part-98.jsonl").write_text(lines({"user_id": 8, "book_id": "a"}))
    found = read_all("interactions", tmp_path / "x")
    assert found.ratings["user_id"].to_pylist()[-2:] == ["8", "007"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "user_id,book_id,rating\n1,2,3\n",
            "part-99.csv has .*, rating where .*part-0",
        ),
        ("user_id,rating\n1,3\n", "part-99.csv has no column book_id"),
        ("", "part-99.csv is empty"),
    ],
)
def test_part_that_does_not_fit_is_named(parts, tmp_path, content, message):
    (parts("x") / "part-99.csv").write_text(content)
    with pytest.raises(SourceError, match=message):
        read_all("interactions", tmp_path / "x")


def test_part_without_rows_is_passed_over_and_none_at_all_refused(tmp_path):
    (tmp_path / "ratings-1.csv").write_text("user_id,book_id\n")
    with pytest.raises(SourceError, match="no rows"):
        read_all("interactions", tmp_path)
    (tmp_path / "ratings-2.csv").write_text("user_id,book_id\n1,2\n")
    assert rows(read_all("interactions", tmp_path)) == [("1", "2", None)]
