import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.data.schemas import BOOKS, QUARANTINE, RAW_RATINGS, READERS
from pipelines.data.sources import create_source, csv_reading
from pipelines.stages.ingest import write_tables

HEADER = "user_id,book_id,rating,timestamp\n"


@pytest.fixture
def ingested(tmp_path):
    def write_and_ingest(**files):
        for name, content in files.items():
            (tmp_path / f"{name}.csv").write_text(content)
        told = write_tables(create_source("interactions").read(str(tmp_path)), tmp_path)
        return told, lambda name: pq.read_table(tmp_path / f"{name}.parquet")

    return write_and_ingest


def test_every_dataset_is_written_with_its_schema(ingested):
    told, read = ingested(
        ratings=f"{HEADER}1,a,5,\n2,b,x,\n",
        books="book_id,title\na,A\n,B\n",
        readers="user_id,location,age\n1,here,NULL\n2,,31\n,x,9\n",
    )
    schemas = {"ratings": RAW_RATINGS, "books": BOOKS, "readers": READERS, "quarantine": QUARANTINE}
    assert {name: read(name).schema for name in schemas} == schemas
    assert [told[n] for n in ("ratings", "books", "readers")] == [1, 1, 2]
    assert [told[f"{n}_rejected"] for n in ("ratings", "books", "readers")] == [1, 1, 1]
    assert read("readers")["age"].to_pylist() == [None, 31]
    assert read("quarantine")["dataset"].to_pylist() == ["ratings", "books", "readers"]
    assert (told["book_ids"], told["catalogue_is_complete"]) == ("opaque", True)


def test_dataset_that_the_source_lacks_is_not_written(ingested, tmp_path):
    told, _ = ingested(ratings=f"{HEADER}1,a,5,\n")
    assert (told["books"], told["readers"]) == (None, None)
    assert not (tmp_path / "readers.parquet").exists()


def test_batches_leave_no_seams(ingested, monkeypatch):
    monkeypatch.setattr(csv_reading, "HEAD_BYTES", 200)
    monkeypatch.setattr(csv_reading, "BLOCK_BYTES", 200)
    lines = "".join(f"{i},b,{'x' if i % 7 == 0 else 5},\n" for i in range(1, 1001))
    told, read = ingested(ratings=HEADER + lines)
    assert (told["ratings"], told["ratings_rejected"]) == (858, 142)
    assert read("ratings")["row"].to_pylist() == [i for i in range(1, 1001) if i % 7]
    assert read("quarantine")["row"].to_pylist() == list(range(7, 1001, 7))


@pytest.mark.parametrize(
    ("rows", "order"), [("1,a,5,\n2,b,5,1577934245\n", "timestamp"), ("1,a,5,\n", "none")]
)
def test_any_known_time_orders_histories(ingested, rows, order):
    assert ingested(ratings=HEADER + rows)[0]["order"] == order


def test_rows_of_erased_readers_are_written_nowhere_and_counted(tmp_path):
    rows = '1,a,5,\n2,b,5,\n2,c,x,\n1,2,x,\n1,b,5,"torn\n2;3;4;5;6;7\n'
    (tmp_path / "ratings.csv").write_text(HEADER + rows)
    (tmp_path / "books.csv").write_text("book_id,title\n2,Two\n,2\n")
    (tmp_path / "readers.csv").write_text("user_id,age\n1,30\n2,40\n")
    out = tmp_path / "out"
    out.mkdir()
    told = write_tables(create_source("interactions").read(str(tmp_path)), out, "2".__eq__)
    read = {name: pq.read_table(out / f"{name}.parquet") for name in ("ratings", "readers")}
    assert {name: set(table["user_id"].to_pylist()) for name, table in read.items()} == {
        "ratings": {"1"}, "readers": {"1"},
    }  # fmt: skip
    encoded = pq.ParquetFile(out / "ratings.parquet", read_dictionary=["user_id"]).read()
    assert encoded["user_id"].chunk(0).dictionary.to_pylist() == ["1"]
    aside = pq.read_table(out / "quarantine.parquet")
    assert [o for o in aside["original"].to_pylist() if o.startswith("2")] == []
    assert "2" in str(aside.filter(pc.field("dataset") == "books")["original"].to_pylist())
    for name, n_rows in told["rows"].items():
        assert n_rows == told[name] + told[f"{name}_rejected"] + told["erased_reader"][name]
    assert told["erased_reader"]["readers"] == 1
    assert told["erased_reader"]["ratings"] >= 2
