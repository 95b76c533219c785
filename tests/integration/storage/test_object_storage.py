"""Sources on object storage: the same files, the same tables."""

import gzip
from collections.abc import Iterator

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from pipelines.data.sources import create_source
from pipelines.errors import SourceError
from pipelines.stages.ingest import write_tables
from tests.sources import read_all

pytestmark = pytest.mark.integration

RATINGS = "User-ID;ISBN;Book-Rating\n1;034544003X;0\n2;0155061224;5\n;;\n"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint, monkeypatch):
    """Puts objects into a bucket that everybody finds by the environment."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="shop")
    yield lambda key, data: client.put_object(Bucket="shop", Key=key, Body=data)
    for found in client.list_objects_v2(Bucket="shop").get("Contents", []):
        client.delete_object(Bucket="shop", Key=found["Key"])
    client.delete_bucket(Bucket="shop")
    client.close()


def test_file_and_folder_are_read_like_local_ones(bucket, tmp_path):
    bucket("bx/BX-Book-Ratings.csv.gz", gzip.compress(RATINGS.encode()))
    bucket("bx/BX-Users.csv", b'"User-ID";"Location";"Age"\n"1";"here";NULL\n')
    found = read_all("book-crossing", "s3://shop/bx")
    assert found.ratings["book_id"].to_pylist() == ["034544003X", "0155061224"]
    assert found.readers["location"].to_pylist() == ["here"]
    alone = read_all("book-crossing", "s3://shop/bx/BX-Book-Ratings.csv.gz")
    assert alone.ratings.equals(found.ratings)
    told = write_tables(create_source("book-crossing").read("s3://shop/bx"), tmp_path)
    assert (told["ratings"], len(told["files"])) == (2, 2)


def test_parts_of_parquet_are_read_in_order(bucket):
    for part in range(11):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"user_id": [part], "book_id": [part]}), sink)
        bucket(f"x/ratings/part-{part}.parquet", sink.getvalue().to_pybytes())
    found = read_all("interactions", "s3://shop/x")
    assert found.ratings["user_id"].to_pylist() == [str(part) for part in range(11)]


def test_what_changes_is_seen_by_the_same_process(bucket):
    bucket("x/ratings-1.csv", b"user_id,book_id\n1,a\n")
    assert len(read_all("interactions", "s3://shop/x").ratings) == 1
    bucket("x/ratings-2.csv", b"user_id,book_id\n2,a\n")
    assert len(read_all("interactions", "s3://shop/x").ratings) == 2


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("s3://shop/nowhere.csv", "s3://shop/nowhere.csv does not exist"),
        ("s3://nobody/ratings.csv", "s3://nobody/ratings.csv does not exist"),
        ("nosuch://shop/ratings.csv", "Unsupported filesystem"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_what_is_not_there_is_named(location, message):
    with pytest.raises(SourceError, match=message):
        read_all("interactions", location)


@pytest.mark.usefixtures("bucket")
def test_storage_that_does_not_answer_is_one_clear_error(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(SourceError, match=r"s3://shop/ratings\.csv cannot be read") as caught:
        read_all("interactions", "s3://shop/ratings.csv")
    assert "\n" not in str(caught.value)
