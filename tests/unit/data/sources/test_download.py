import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.data.sources.download import (
    CHECKSUMS,
    Patience,
    ReleaseFile,
    download_goodbooks,
    recorded_checksums,
)
from pipelines.errors import SourceError

BODY = b"user_id,book_id,rating\n" + b"".join(b"%d,%d,5\n" % (i, i) for i in range(5000))
SHA256 = hashlib.sha256(BODY).hexdigest()
FILE = ReleaseFile("ratings.csv", "user_id,book_id,rating", 5000)
IMPATIENT = Patience(tries=3, first_pause_seconds=0.001, timeout_seconds=2)


@dataclass
class Behaviour:
    """How the server behaves; `ranges` records what it was asked for."""

    body: bytes = BODY
    cut_after: int | None = None
    status: int = 200
    knows_ranges: bool = True
    shift: int = 0
    """How far from the range asked for the first one sent begins."""
    ranges: list[str | None] = field(default_factory=list)


class ReleaseServer(ThreadingHTTPServer):
    behaviour: Behaviour

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/raw"


class ReleaseHandler(BaseHTTPRequestHandler):
    server: ReleaseServer

    def do_GET(self):
        how = self.server.behaviour
        asked = self.headers.get("Range")
        how.ranges.append(asked)
        if how.status != 200:
            self.send_error(how.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and how.knows_ranges else 0
        if start >= len(how.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(how.body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            start, how.shift = start + how.shift, 0
            self.send_header("Content-Range", f"bytes {start}-{len(how.body) - 1}/{len(how.body)}")
        self.send_header("Content-Length", str(len(how.body) - start))
        self.end_headers()
        stop = len(how.body) if how.cut_after is None else start + how.cut_after
        self.wfile.write(how.body[start:stop])

    def log_message(self, *args):
        pass


@pytest.fixture
def server() -> Iterator[ReleaseServer]:
    with ReleaseServer(("127.0.0.1", 0), ReleaseHandler) as running:
        running.behaviour = Behaviour()
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def download(server, folder, file=FILE, **options):
    return download_goodbooks(
        folder, base_url=server.url, files=[file], patience=IMPATIENT, **options
    )


def test_file_arrives_whole_and_its_checksum_is_recorded(server, tmp_path):
    seen = []
    (path,) = download(server, tmp_path / "new", on_progress=lambda *step: seen.append(step))
    assert path.read_bytes() == BODY
    assert recorded_checksums(path.parent) == {"ratings.csv": SHA256}
    assert seen[-1] == ("ratings.csv", len(BODY), len(BODY))
    assert {p.name for p in path.parent.iterdir()} == {"ratings.csv", CHECKSUMS}


def test_file_that_is_there_is_not_fetched_again(server, tmp_path):
    download(server, tmp_path)
    download(server, tmp_path)
    assert len(server.behaviour.ranges) == 1


def test_cut_connection_is_resumed_where_it_broke(server, tmp_path):
    server.behaviour.cut_after = len(BODY) // 3 + 1
    (path,) = download(server, tmp_path)
    assert path.read_bytes() == BODY
    third = len(BODY) // 3 + 1
    assert server.behaviour.ranges == [None, f"bytes={third}-", f"bytes={2 * third}-"]


def test_part_of_an_earlier_run_is_continued(server, tmp_path):
    (tmp_path / "ratings.csv.part").write_bytes(BODY[:1000])
    (path,) = download(server, tmp_path)
    assert path.read_bytes() == BODY
    assert server.behaviour.ranges == ["bytes=1000-"]


def test_part_that_is_whole_is_taken(server, tmp_path):
    (tmp_path / "ratings.csv.part").write_bytes(BODY)
    (path,) = download(server, tmp_path)
    assert path.read_bytes() == BODY


def test_part_that_is_too_long_is_fetched_anew(server, tmp_path):
    (tmp_path / "ratings.csv.part").write_bytes(BODY + b"more")
    (path,) = download(server, tmp_path)
    assert path.read_bytes() == BODY


def test_server_without_ranges_sends_it_anew(server, tmp_path):
    server.behaviour.knows_ranges = False
    (tmp_path / "ratings.csv.part").write_bytes(b"something else")
    (path,) = download(server, tmp_path)
    assert path.read_bytes() == BODY


def test_range_other_than_the_one_asked_for_is_not_appended(server, tmp_path):
    server.behaviour.shift = 7
    (tmp_path / "ratings.csv.part").write_bytes(BODY[:1000])
    (path,) = download(server, tmp_path)
    assert path.read_bytes() == BODY


def test_connection_that_is_cut_every_time_is_given_up_and_kept_for_later(server, tmp_path):
    server.behaviour.cut_after = 10
    with pytest.raises(SourceError, match="check the connection"):
        download(server, tmp_path)
    assert (tmp_path / "ratings.csv.part").stat().st_size == 30
    assert not (tmp_path / "ratings.csv").exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>sign in</html>" * 999, "something other than the release"),
        (BODY[: len(BODY) // 2], "at least 5000 belong"),
    ],
)
def test_wrong_body_is_refused_and_thrown_away(server, tmp_path, body, message):
    server.behaviour.body = body
    with pytest.raises(SourceError, match=message):
        download(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_published_checksum_is_verified(server, tmp_path):
    download(server, tmp_path / "good", ReleaseFile("r.csv", "user_id", 1, SHA256))
    with pytest.raises(SourceError, match="checksum"):
        download(server, tmp_path / "bad", ReleaseFile("r.csv", "user_id", 1, "0" * 64))


def test_later_download_is_verified_against_the_first_one(server, tmp_path):
    (path,) = download(server, tmp_path)
    path.unlink()
    server.behaviour.body = BODY + b"9,9,9\n"
    with pytest.raises(SourceError, match=f"not {SHA256}"):
        download(server, tmp_path)


def test_file_changed_on_disk_is_noticed(server, tmp_path):
    (path,) = download(server, tmp_path)
    path.write_bytes(BODY + b"9,9,9\n")
    with pytest.raises(SourceError, match="delete it and download again"):
        download(server, tmp_path)


def test_missing_file_is_not_asked_for_twice(server, tmp_path):
    server.behaviour.status = 404
    with pytest.raises(SourceError, match="answered 404"):
        download(server, tmp_path)
    assert len(server.behaviour.ranges) == 1


def test_busy_server_is_asked_again(server, tmp_path):
    server.behaviour.status = 503
    with pytest.raises(SourceError, match="503"):
        download(server, tmp_path)
    assert len(server.behaviour.ranges) == IMPATIENT.tries


def test_without_a_connection_the_error_says_what_to_do(tmp_path):
    with pytest.raises(SourceError, match=r"put ratings\.csv into .* by hand"):
        download_goodbooks(
            tmp_path, base_url="http://127.0.0.1:9", files=[FILE], patience=IMPATIENT
        )


def test_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SourceError, match="choose another folder"):
        download(server, tmp_path / "file" / "folder")
