import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data import parquet
from pipelines.data.parquet import read_ratings, write_table, writing
from pipelines.data.schemas import ENCODED_RATINGS, RAW_RATINGS


def ratings(user_ids, *, first, schema=ENCODED_RATINGS):
    n = len(user_ids)
    rows = range(first, first + n)
    return pa.table([user_ids, ["b", None, "c"][:n], [1.0] * n, [None] * n, rows], schema)


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_batches_encoded_or_not_are_read_back_as_one_table(tmp_path, monkeypatch, size):
    monkeypatch.setattr(parquet, "ROW_GROUP_BYTES", size)
    batches = [
        ratings(["1", "2", "1"], first=1),
        ratings([], first=4),
        ratings(["3", None, "1"], first=4, schema=RAW_RATINGS),
    ]
    path = tmp_path / "ratings.parquet"
    with writing(path, ENCODED_RATINGS) as write:
        for batch in batches:
            write(batch)
    expected = pa.concat_tables(batch.cast(RAW_RATINGS) for batch in batches)
    assert pq.read_table(path).equals(expected)
    read = read_ratings(path)
    assert read.cast(RAW_RATINGS).equals(expected)
    assert [read[name].num_chunks for name in ("user_id", "book_id")] == [1, 1]
    assert sorted(read["user_id"].chunk(0).dictionary.to_pylist()) == ["1", "2", "3"]


def test_what_cannot_be_written_is_told(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError("No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", refuse)
    with (
        pytest.raises(OSError, match="No space left"),
        writing(tmp_path / "ratings.parquet", ENCODED_RATINGS) as write,
    ):
        write(ratings(["1"], first=1))


def test_encoded_ids_of_a_whole_table_are_read_back_plain(tmp_path):
    path = tmp_path / "ratings.parquet"
    ids = pa.array([7, 9, 7], pa.int64())
    write_table(pa.table({"user_id": ids.dictionary_encode(), "row": [1, 2, 3]}), path)
    assert pq.read_table(path).equals(pa.table({"user_id": ids, "row": [1, 2, 3]}))
