"""Fetches goodbooks-10k from its release, resuming where a former try was cut off."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog

from pipelines.errors import SourceError

log = structlog.get_logger()

BASE_URL = "https://github.com/zygmuntz/goodbooks-10k/raw/master"
CHECKSUMS = "SHA256SUMS"
RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_CHUNK = 1 << 20

OnProgress = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes there are and the bytes there will be, if known."""


@dataclass(frozen=True)
class ReleaseFile:
    """One file of the release and how to tell that it is the one."""

    name: str
    header: str
    min_rows: int
    """Lower than the true count: it tells a whole file from a page of excuses."""
    sha256: str | None = None


RELEASE = (
    ReleaseFile("ratings.csv", "user_id,book_id,rating", 5_000_000),
    ReleaseFile(
        "books.csv",
        "book_id,goodreads_book_id,",
        10_000,
        "4d21d0e0433128657c752e3a3d0405ac0ec11675d6c70c64cb0abf4ab1acb76a",
    ),
    ReleaseFile("book_tags.csv", "goodreads_book_id,tag_id,count", 900_000),
    ReleaseFile(
        "tags.csv",
        "tag_id,tag_name",
        34_000,
        "87f316957564fa21c316a4f50afc87f07906f478f990eec027aaca00c536c449",
    ),
)


class _CutOffError(Exception):
    """The transfer ended early or the server is busy: worth another try."""


@dataclass(frozen=True)
class Patience:
    """How often and how long to try."""

    tries: int = 5
    first_pause_seconds: float = 1.0
    """Doubled after each try."""
    timeout_seconds: float = 30.0
    """For connecting and for each read, not for the whole file."""


def download_goodbooks(
    target: Path,
    *,
    base_url: str = BASE_URL,
    files: Sequence[ReleaseFile] = RELEASE,
    on_progress: OnProgress | None = None,
    patience: Patience | None = None,
) -> list[Path]:
    """
    Fetch the release into `target`; files that are there and verified are left alone.

    books.csv and tags.csv are verified by the checksums of the release. Those of the other files
    are not published: they are accepted by their length, header and number of rows, and their
    checksums are recorded in `SHA256SUMS` on the first download, against which every later one is
    verified.

    Returns:
        The files, in the order of `files`.

    Raises:
        SourceError: no connection, no such file, or not the file that was expected.
    """
    patience = patience or Patience()
    try:
        target.mkdir(parents=True, exist_ok=True)
        timeout = httpx.Timeout(patience.timeout_seconds)
        with httpx.Client(timeout=timeout, follow_redirects=True) as client:
            downloads = [
                _Download(client, f"{base_url}/{file.name}", target, file, on_progress)
                for file in files
            ]
            return [download.run(patience) for download in downloads]
    except OSError as error:
        raise SourceError(f"{target} cannot be written ({error}): choose another folder") from error


@dataclass(frozen=True)
class _Download:
    client: httpx.Client
    url: str
    folder: Path
    file: ReleaseFile
    on_progress: OnProgress | None

    @property
    def part(self) -> Path:
        return self.folder / f"{self.file.name}.part"

    def run(self, patience: Patience) -> Path:
        path = self.folder / self.file.name
        if not path.exists():
            self._fetch_patiently(patience)
            try:
                checksum = self._verified(self.part)
            except SourceError:
                self.part.unlink()
                raise
            self.part.replace(path)
            log.info("file_downloaded", file=str(path), bytes=path.stat().st_size)
        else:
            checksum = self._verified(path)
        _record(self.folder, self.file.name, checksum)
        return path

    def _fetch_patiently(self, patience: Patience) -> None:
        pause = patience.first_pause_seconds
        for left in reversed(range(patience.tries)):
            try:
                return self._fetch()
            except (_CutOffError, httpx.TransportError) as error:
                if not left:
                    raise SourceError(
                        f"{self.url} could not be downloaded ({error or type(error).__name__}): "
                        f"check the connection and try again, or put {self.file.name} into "
                        f"{self.folder} by hand"
                    ) from error
                log.warning("download_interrupted", url=self.url, tries_left=left, error=str(error))
                time.sleep(pause)
                pause *= 2
        return None

    def _fetch(self) -> None:
        """Append what is missing to the part, or write it anew if the server knows no ranges."""
        there = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Accept-Encoding": "identity"}  # otherwise lengths are those of compressed bytes
        if there:
            headers["Range"] = f"bytes={there}-"
        with self.client.stream("GET", self.url, headers=headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._settle_range(response, there)
                return
            self._refuse_failure(response)
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            if resumed and not response.headers.get("Content-Range", "").startswith(
                f"bytes {there}-"
            ):
                self.part.unlink()
                raise _CutOffError("the server sent another range than was asked for")
            self._write(response, there if resumed else 0)

    def _settle_range(self, response: httpx.Response, there: int) -> None:
        """Nothing lies behind the part: it is whole already, or it belongs to another file."""
        if response.headers.get("Content-Range") != f"bytes */{there}":
            self.part.unlink()
            raise _CutOffError("the part on disk is longer than the file")

    def _refuse_failure(self, response: httpx.Response) -> None:
        if response.status_code in RETRIED_STATUS:
            raise _CutOffError(f"the server answered {response.status_code}")
        if not response.is_success:
            raise SourceError(
                f"{self.url} answered {response.status_code}: check the address, or put "
                f"{self.file.name} into {self.folder} by hand"
            )

    def _write(self, response: httpx.Response, there: int) -> None:
        length = response.headers.get("Content-Length")
        is_plain = "Content-Encoding" not in response.headers and (length or "").isdecimal()
        total = there + int(length) if is_plain else None
        with self.part.open("ab" if there else "wb") as out:
            for chunk in response.iter_bytes():  # a chunk size would lose what came before a cut
                out.write(chunk)
                there += len(chunk)
                if self.on_progress is not None:
                    self.on_progress(self.file.name, there, total)
        if total is not None and there < total:
            raise _CutOffError(f"{there} of {total} bytes arrived")

    def _verified(self, path: Path) -> str:
        """The checksum of a file that is what it should be."""
        checksum, rows, first_line = _measure(path)
        expected = self.file.sha256 or recorded_checksums(self.folder).get(self.file.name)
        if not first_line.startswith(self.file.header):
            raise SourceError(
                f"{path} begins with {first_line[:60]!r} instead of {self.file.header!r}: "
                "something other than the release was sent; delete it and try again"
            )
        if rows < self.file.min_rows:
            raise SourceError(
                f"{path} has {rows} rows where at least {self.file.min_rows} belong: "
                "delete it and download again"
            )
        if expected not in (None, checksum):
            raise SourceError(
                f"{path} has the checksum {checksum}, not {expected}: delete it and download again"
            )
        return checksum


def recorded_checksums(folder: Path) -> dict[str, str]:
    """Checksums by file name, as `sha256sum` writes them."""
    path = folder / CHECKSUMS
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}


def _record(folder: Path, name: str, checksum: str) -> None:
    known = recorded_checksums(folder)
    if known.get(name) == checksum:
        return
    lines = [f"{c}  {n}\n" for n, c in sorted((known | {name: checksum}).items())]
    written = folder / f"{CHECKSUMS}.part"
    written.write_text("".join(lines), "utf-8")
    written.replace(folder / CHECKSUMS)


def _measure(path: Path) -> tuple[str, int, str]:
    """Checksum, number of rows below the header, and the first line."""
    digest, line_ends, first, last = hashlib.sha256(), 0, b"", b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            first = first or chunk.split(b"\n", 1)[0]
            digest.update(chunk)
            line_ends += chunk.count(b"\n")
            last = chunk
    rows = line_ends - (1 if last.endswith(b"\n") else 0)
    return digest.hexdigest(), rows, first.decode("utf-8", "replace").removeprefix("\ufeff")
