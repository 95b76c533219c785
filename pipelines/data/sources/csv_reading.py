"""
CSV of unknown make: delimiter, encoding and line ends are found out, nothing is guessed silently.

All values are text. A row with the wrong number of fields is kept aside under its number; a blank
line is no row.
"""

import codecs
import csv
import gzip
import re
import zlib
from bisect import bisect_left
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import structlog

from pipelines.data.sources.raw_file import ChooseColumns, RawFile, file_bytes
from pipelines.errors import SourceError

log = structlog.get_logger()

DELIMITERS = ",;\t|"
BLOCK_BYTES = 64 << 20
"""No row may be longer."""
BOMS = {  # utf-32 first: its mark begins with that of utf-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LAST_FIELD = "\x1eend\x1e"
_LINE_END = re.compile(r"[\r\n]")
_QUOTED = re.compile(r'"[^"]*"')


def read_csv(path: Path, choose: ChooseColumns) -> RawFile:
    """
    The wanted columns of a CSV file, gzipped or not.

    Raises:
        SourceError: not readable, not text, no header, no rows, or a quotation mark left open.
    """
    text = _decoded(path, _unzipped(path, file_bytes(path))).lstrip("\r\n \ufeff")
    end = _LINE_END.search(text)
    header_line, body = (text[: end.start()], text[end.end() :]) if end else (text, "")
    delimiter = _delimiter(header_line)
    header = _header(path, header_line, delimiter)
    chosen = choose(path, header)
    table, invalid = _parsed(path, body, delimiter, len(header), chosen)
    return _numbered(path, table, invalid, delimiter, {n: header[at] for n, at in chosen.items()})


def _unzipped(path: Path, data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} is damaged gzip ({error}): fetch it again") from error


def _decoded(path: Path, data: bytes) -> str:
    encoding = next((name for bom, name in BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise SourceError(
                f"{path} is not the {encoding} it begins as: save it as UTF-8"
            ) from error
    try:
        text, guessed = data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        text, guessed = data.decode("latin-1"), "latin-1"
    log.warning("encoding_guessed", file=str(path), encoding=guessed)
    return text


def _delimiter(header_line: str) -> str:
    bare = _QUOTED.sub("", header_line)
    return max(DELIMITERS, key=bare.count)


def _header(path: Path, line: str, delimiter: str) -> list[str]:
    if not line.strip():
        raise SourceError(f"{path} is empty: it needs a header and at least one row")
    if "\0" in line or line.startswith("PAR1"):
        raise SourceError(f"{path} is not text: save it as CSV in UTF-8, or name it .parquet")
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error as error:
        raise SourceError(f"{path} has no readable header ({error}): is it CSV?") from error


def _parsed(
    path: Path, body: str, delimiter: str, n_fields: int, chosen: dict[str, int]
) -> tuple[pa.Table, list[pa_csv.InvalidRow]]:
    """The chosen columns, and the rows with a wrong number of fields."""
    invalid: list[pa_csv.InvalidRow] = []

    def set_aside(row: pa_csv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    names = [str(at) for at in range(n_fields)]
    included = [str(at) for at in chosen.values()]
    # The last row shows whether a quotation mark was left open: then it became part of a value.
    last_row = delimiter.join([_LAST_FIELD] * n_fields)
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(f"{body}\n{last_row}".encode()),
            # Only a single thread numbers the invalid rows.
            pa_csv.ReadOptions(use_threads=False, column_names=names, block_size=BLOCK_BYTES),
            pa_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=set_aside
            ),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(included, pa.string()),
                include_columns=included,
                null_values=[],
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{path} cannot be read as CSV ({error}): is a quote left open?"
        ) from error
    if not len(table) or table.column(0)[-1].as_py() != _LAST_FIELD:
        raise SourceError(
            f"{path}: the quotation mark opened in data row {len(table) + len(invalid)} is never "
            "closed: close it, or double it if it belongs to the text"
        )
    return table.slice(0, len(table) - 1).rename_columns(list(chosen)), invalid


def _numbered(
    path: Path,
    table: pa.Table,
    invalid: list[pa_csv.InvalidRow],
    delimiter: str,
    found_as: dict[str, str],
) -> RawFile:
    """Number the rows of both kinds; lines of blanks are left out of the count."""
    blank, torn = _sorted_out(invalid, delimiter)
    numbers = np.array([row.number for row in invalid], np.int64)
    places = np.delete(np.arange(1, len(table) + len(invalid) + 1), numbers - 1)
    if not len(table) and not torn:
        raise SourceError(f"{path} has a header but no rows: nothing to read")
    return RawFile(
        path=path,
        columns=table,
        found_as=found_as,
        rows=places - np.searchsorted(blank, places),
        torn=tuple((row.number - bisect_left(blank, row.number), row.text) for row in torn),
    )


def _sorted_out(
    invalid: list[pa_csv.InvalidRow], delimiter: str
) -> tuple[list[int], list[pa_csv.InvalidRow]]:
    """Numbers of the lines that hold nothing but blanks, and the rows that are torn."""
    blank = [r.number for r in invalid if delimiter not in r.text and not r.text.strip(" \t")]
    blanks = set(blank)
    return blank, [row for row in invalid if row.number not in blanks]
