"""
CSV of unknown make: the dialect is found out, and nothing is guessed silently.

All values are text, ids and ratings encoded. A line of blanks or of delimiters alone is no row. A
row with the wrong number of fields, or with a quote that is not closed, is kept aside under its
number.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import chain

import pyarrow as pa
import structlog
from upath import UPath

from pipelines.data.sources.ahead import worked_ahead
from pipelines.data.sources.csv_blocks import BlockReader, Mend, Parsed
from pipelines.data.sources.dialect import DETECTED, HEAD_BYTES, ForcedDialect, detect
from pipelines.data.sources.files import opened
from pipelines.data.sources.raw_file import ChooseColumns, RawBatch, TornRow
from pipelines.data.sources.records import Grammar
from pipelines.data.sources.text_lines import BLOCK_BYTES, whole_lines
from pipelines.errors import SourceError

log = structlog.get_logger()

REPEATED = ("user_id", "book_id", "rating")
"""Columns, by our names, whose values come again and again: read as dictionaries."""
_BEFORE_HEADER = re.compile(rb"(?:\n| |\xef\xbb\xbf)*+")


def read_csv(
    path: UPath,
    choose: ChooseColumns,
    forced: ForcedDialect = DETECTED,
    mend: Mend | None = None,
) -> Iterator[RawBatch]:
    """
    The wanted columns of a CSV file, gzipped or not: at least one batch, which may be empty.

    Args:
        path: The file.
        choose: Says which columns are wanted.
        forced: What is known of its dialect.
        mend: Tried on rows with a wrong number of fields.

    Raises:
        SourceError: not readable, not text, or no header.
    """
    with opened(path) as file:
        head = file.read(HEAD_BYTES)
        dialect = detect(path, head, forced)
        chunks = chain([head], iter(partial(file.read, BLOCK_BYTES), b""))
        blocks = whole_lines(path, chunks, dialect.encoding)
        grammar = Grammar(dialect.delimiter, dialect.quoting)
        header, first = _header(path, blocks, grammar)
        chosen = choose(path, header)
        encoded = [at for name, at in chosen.items() if name in REPEATED]
        reader = BlockReader(grammar, len(header), list(chosen.values()), encoded, mend)
        found_as = {name: header[at] for name, at in chosen.items()}
        yield from _batches(path, chain([first], blocks), reader, found_as)


def _header(path: UPath, blocks: Iterator[bytes], grammar: Grammar) -> tuple[list[str], bytes]:
    """The names of the columns, and what stands behind them in their block."""
    stripped = (block[_BEFORE_HEADER.match(block).end() :] for block in blocks)  # type: ignore[union-attr] # matches always
    block = next(filter(None, stripped), b"")
    if not block:
        raise SourceError(f"{path} is empty: it needs a header and at least one row")
    end = block.find(b"\n") + 1
    line = block[:end]
    if b"\0" in line or line.startswith(b"PAR1"):
        raise SourceError(f"{path} is not text: save it as CSV in UTF-8, or name it .parquet")
    record = grammar.record(block, 0)
    if record.fields is None or record.end is None:
        record = Grammar(grammar.delimiter, "none").record(block, 0)
    return [name.strip(' "') for name in record.fields or ()], block[record.end :]


def _batches(
    path: UPath, blocks: Iterator[bytes], reader: BlockReader, found_as: dict[str, str]
) -> Iterator[RawBatch]:
    counts: Counter[str] = Counter()
    repairs: Counter[str] = Counter()
    for parsed in _parsed(path, blocks, reader):
        batch = _batch(path, parsed, counts["rows"], found_as)
        counts += Counter(rows=parsed.n_records, torn=len(parsed.torn), blank=parsed.n_blank)
        repairs += parsed.repairs
        yield batch
    told = {name: counts[name] for name in ("rows", "torn", "blank")}
    log.info("file_read", file=str(path), **told, repairs=dict(repairs))


def _parsed(path: UPath, blocks: Iterator[bytes], reader: BlockReader) -> Iterator[Parsed]:
    """Some blocks at once; one is read again if a record of the block before goes on in it."""
    rest = b""
    try:
        for block, found in worked_ahead(partial(reader.read, last=False), blocks):
            parsed = reader.read(rest + block, last=False) if rest else found.result()
            rest = parsed.rest
            yield parsed
        yield reader.read(rest, last=True)
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path} cannot be read as CSV: {error}") from error


def _batch(path: UPath, parsed: Parsed, before: int, found_as: dict[str, str]) -> RawBatch:
    return RawBatch(
        path=path,
        columns=parsed.columns.rename_columns(list(found_as)),
        found_as=found_as,
        rows=parsed.places + before + 1,
        torn=tuple(TornRow(at + before + 1, rule, text) for at, rule, text in parsed.torn),
        repairs=parsed.repairs,
    )
