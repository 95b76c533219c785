"""Files and folders to read from: on this machine, or wherever fsspec has a driver for."""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from upath import UPath

from pipelines.data.sources.locations import is_url, without_password
from pipelines.errors import SourceError

GZIP_MAGIC = b"\x1f\x8b"
_NUMBERS = re.compile(r"(\d+)")


def located(location: str) -> UPath:
    """
    The path that a location means; what it is called in messages is what was given.

    Raises:
        SourceError: no driver for such a URL, or a password in it, which messages would show.
    """
    if without_password(location) != location:
        raise SourceError(
            f"{without_password(location)} was given with a password: "
            "leave it to the settings of the driver"
        )
    try:
        if is_url(location):
            # What lies there may change while this process lives.
            return UPath(location, use_listings_cache=False)
        return UPath(location).absolute()
    except (ValueError, ImportError) as error:
        raise SourceError(f"{location} cannot be opened: {error}") from error


@contextmanager
def reading(path: UPath) -> Iterator[None]:
    """Turn whatever goes wrong in the block while reading `path` into SourceError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{path} is damaged gzip ({error}): fetch it again") from error
    except ImportError as error:
        raise SourceError(f"{path} needs a driver that is not installed: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise SourceError(f"{path} cannot be read ({reason}): check its permissions") from error
    except Exception as error:
        if _is_local(path) or isinstance(error, SourceError):
            raise
        # A driver may raise anything of its own.
        raise SourceError(f"{path} cannot be read ({error}): check address and access") from error


@contextmanager
def opened(path: UPath) -> Iterator[IO[bytes]]:
    """
    The bytes of a regular file, unzipped if they are gzip.

    Raises:
        SourceError: missing, not a file, not readable or damaged; also while it is being read.
    """
    with reading(path):
        if path.is_dir():
            raise SourceError(f"{path} is a folder: name a file in it")
        if not path.is_file():
            raise SourceError(f"{path} does not exist or is no regular file: check the path")
        with path.open("rb") as file:
            magic = file.read(len(GZIP_MAGIC))
            file.seek(0)
            if magic != GZIP_MAGIC:
                yield file
            else:
                with gzip.open(file) as unzipped:
                    yield cast(IO[bytes], unzipped)


def listed(folder: UPath) -> list[UPath] | None:
    """
    What lies in a folder, part 2 before part 10, hidden files left out; None for what is no folder.

    Raises:
        SourceError: not readable.
    """
    with reading(folder):
        if not folder.is_dir():
            return None
        found = (path for path in folder.iterdir() if not path.name.startswith((".", "_")))
        return sorted(found, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in _NUMBERS.split(name)]


def _is_local(path: UPath) -> bool:
    return path.protocol in ("", "file", "local")
