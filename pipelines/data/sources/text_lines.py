"""Text of unknown make as blocks of whole lines, in UTF-8 with line feeds, a bounded time each."""

import codecs
import io
from collections.abc import Iterable, Iterator

import structlog
from upath import UPath

from pipelines.errors import SourceError

log = structlog.get_logger()

BLOCK_BYTES = 4 << 20
"""Read at a time."""
MAX_LINE_BYTES = 32 << 20
"""Of a longer line the first KEPT_OF_A_LINE bytes stay, so that no file can fill the memory."""
KEPT_OF_A_LINE = 64 << 10
BOMS = {  # utf-32 first: its mark begins with that of utf-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_GUESSED = ("utf-8", "cp1252")
_LENIENT = "bookrec_lenient"


def detect_encoding(head: bytes) -> str:
    """By its mark, else UTF-8 if the head of the file may be that, else cp1252 or latin-1."""
    marked = next((name for bom, name in BOMS.items() if head.startswith(bom)), None)
    if marked:
        return marked
    for encoding in _GUESSED:
        try:
            codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def whole_lines(path: UPath, chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """
    Blocks of whole lines; the last line is ended even if the file does not end it.

    Where a UTF-8 or cp1252 that was taken on trust turns out not to hold, the bytes that do not fit
    are read as cp1252 or latin-1, and that is logged.

    Raises:
        SourceError: the file is not of the encoding that its mark says, or that was forced.
    """
    rest, cutting = b"", False
    for text in _decoded(path, chunks, encoding):
        found = text.encode()
        if cutting:
            end = found.find(b"\n")
            found, cutting = (found[end:], False) if end >= 0 else (b"", True)
        block = rest + found
        end = block.rfind(b"\n") + 1
        if end:
            yield block[:end]
        rest = block[end:]
        if len(rest) > MAX_LINE_BYTES:
            log.warning("line_cut", file=str(path), kept_bytes=KEPT_OF_A_LINE)
            rest, cutting = rest[:KEPT_OF_A_LINE].decode(errors="ignore").encode(), True
    if rest:
        yield rest + b"\n"


def _decoded(path: UPath, chunks: Iterable[bytes], encoding: str) -> Iterator[str]:
    """The text, with any kind of line end as a line feed."""
    decoder = _decoder(encoding, "strict")
    try:
        for chunk in chunks:
            state = decoder.getstate()
            try:
                yield decoder.decode(chunk)
            except UnicodeDecodeError:
                if encoding not in _GUESSED:
                    raise
                log.warning("encoding_mixed", file=str(path), encoding=encoding)
                decoder = _decoder(encoding, _LENIENT)
                decoder.setstate(state)
                yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise SourceError(
            f"{path} is not {encoding} throughout ({error.__class__.__name__}): "
            "save it as UTF-8, or give its encoding with --source-option encoding=…"
        ) from error


def _decoder(encoding: str, errors: str) -> io.IncrementalNewlineDecoder:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    return io.IncrementalNewlineDecoder(decoder, translate=True)


def _as_one_byte_signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    found = error.object[error.start : error.end]
    try:
        return found.decode("cp1252"), error.end
    except UnicodeDecodeError:
        return found.decode("latin-1"), error.end


codecs.register_error(_LENIENT, _as_one_byte_signs)
