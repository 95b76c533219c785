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
