"""A block of whole lines of CSV to rows: fast where nothing is in doubt, line by line elsewhere."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pipelines.data.schemas import ENCODED
from pipelines.data.sources.csv_lines import Lines, Nums
from pipelines.data.sources.records import MAX_RECORD_BYTES, Grammar, Quoting, Record

_OTHERS: dict[Quoting, tuple[Quoting, ...]] = {
    "doubled": ("backslash",),
    "triple": ("backslash",),
    "backslash": ("doubled",),
    "none": ("doubled", "backslash"),
}
"""What else a torn row may be written in. Never none: an id with a stray quote is another id."""
_ROW, _BLANK, _APART, _INSIDE = range(4)
"""A line: a row for Arrow, nothing, a record to be taken apart on its own, or more lines of it."""
_LAST_FIELD = "1"

Kinds = npt.NDArray[np.int8]


class Mend(NamedTuple):
    """A way to mend rows with a wrong number of fields."""

    name: str
    mend: Callable[[list[str], str], list[str] | None]
    """From the fields found and the delimiter to the right number of fields; None if in doubt."""


class _MisreadError(Exception):
    """Arrow took a quote for open, and read on over the end of the line."""


class Parsed(NamedTuple):
    """What a block holds; its records are counted from 0."""

    columns: pa.Table
    places: Nums
    """Which record each row of `columns` is."""
    torn: list[tuple[int, str, str]]
    """Which record, the rule, and the text."""
    repairs: Counter[str]
    n_records: int
    n_blank: int
    rest: bytes
    """A record that goes on in the next block."""


class BlockReader:
    """
    Reads the blocks of one file: the fields at the places `wanted`, of `n_fields`.

    Those at the places `encoded` come as dictionaries, which may hold a value that no row has.
    """

    def __init__(
        self,
        grammar: Grammar,
        n_fields: int,
        wanted: Sequence[int],
        encoded: Sequence[int],
        mend: Mend | None,
    ) -> None:
        self._grammar, self._n_fields, self._wanted, self._mend = grammar, n_fields, wanted, mend
        kinds = {at: ENCODED if at in encoded else pa.string() for at in wanted}
        self._schema = pa.schema([(str(at), kinds[at]) for at in wanted])
        self._others = [Grammar(grammar.delimiter, other) for other in _OTHERS[grammar.quoting]]
        self._blank = b" \t" + grammar.delimiter.encode()

    def read(self, block: bytes, *, last: bool) -> Parsed:
        """The records of a block of whole lines; in the last one none can go on."""
        lines = Lines(block)
        try:
            return self._read(lines, self._suspects(lines), last=last)
        except _MisreadError:
            return self._read(lines, lines.with_quotes_or_escapes(), last=last)

    def _suspects(self, lines: Lines) -> Nums:
        """Lines whose quotes may be other than pairs around values."""
        match self._grammar.quoting:
            case "none":
                return np.empty(0, np.intp)
            case "backslash":
                return lines.with_odd_quotes()
            case _:
                return np.union1d(lines.with_odd_quotes(), lines.with_escaped_quotes())

    def _read(self, lines: Lines, suspects: Nums, *, last: bool) -> Parsed:
        kinds = np.where(lines.blank(self._blank), _BLANK, _ROW).astype(np.int8)
        apart, n_lines = self._taken_apart(lines, kinds, suspects, last=last)
        kinds = kinds[:n_lines]
        rows = np.flatnonzero(kinds == _ROW)
        table, invalid = self._parsed(lines.joined(rows), len(rows))
        apart |= {at: Record(int(lines.ends[at]), None) for at in rows[invalid].tolist()}
        mended, torn, repairs = self._mended(lines, apart)
        places = np.append(np.delete(rows, invalid), np.array(list(mended), np.intp))
        if mended:
            order = np.argsort(places, kind="stable")
            table = pa.concat_tables([table, self._table(list(mended.values()))]).take(order)
            places = places[order]
        is_record = (kinds == _ROW) | (kinds == _APART)
        nth = np.cumsum(is_record) - 1
        return Parsed(
            columns=table,
            places=nth[places],
            torn=[(int(nth[at]), rule, text) for at, (rule, text) in sorted(torn.items())],
            repairs=repairs,
            n_records=int(is_record.sum()),
            n_blank=int((kinds == _BLANK).sum()),
            rest=lines.block[lines.starts[n_lines] :] if n_lines < len(lines) else b"",
        )

    def _taken_apart(
        self, lines: Lines, kinds: Kinds, suspects: Nums, *, last: bool
    ) -> tuple[dict[int, Record], int]:
        """Records by their first line, marked in `kinds`, and how many lines can be told now."""
        found: dict[int, Record] = {}
        free = 0
        for at in suspects.tolist():
            if at < free or kinds[at] == _BLANK:
                continue
            start = int(lines.starts[at])
            record = self._grammar.fitting(lines.block, start, self._n_fields)
            if record.end is None and not last and len(lines.block) - start < MAX_RECORD_BYTES:
                return found, at
            end = record.end or int(lines.ends[at])
            record, free = record._replace(end=end), int(np.searchsorted(lines.ends, end)) + 1
            found[at], kinds[at], kinds[at + 1 : free] = record, _APART, _INSIDE
        return found, len(lines)

    def _parsed(self, text: bytes, n_rows: int) -> tuple[pa.Table, list[int]]:
        """The wanted columns of a text of one row a line, and which lines are no such rows."""
        invalid: list[int] = []

        def set_aside(row: pa_csv.InvalidRow) -> str:
            invalid.append(row.number - 1)
            return "skip"

        names = [str(at) for at in range(self._n_fields)]
        # A quote left open takes the row behind it along: then there is one row less than lines.
        last_row = self._grammar.delimiter.join([_LAST_FIELD] * self._n_fields).encode()
        data = b"%b%b\n" % (text, last_row)
        quoting = self._grammar.quoting
        table = pa_csv.read_csv(
            pa.py_buffer(data),
            # Only a single thread numbers the invalid rows.
            pa_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
            pa_csv.ParseOptions(
                delimiter=self._grammar.delimiter,
                quote_char=False if quoting == "none" else '"',
                escape_char="\\" if quoting == "backslash" else False,
                invalid_row_handler=set_aside,
            ),
            pa_csv.ConvertOptions(
                column_types={field.name: field.type for field in self._schema},
                include_columns=self._schema.names,
                null_values=[],
                check_utf8=False,
            ),
        )
        if len(table) + len(invalid) != n_rows + 1:
            raise _MisreadError
        return self._trimmed(table.slice(0, len(table) - 1)), invalid

    def _trimmed(self, table: pa.Table) -> pa.Table:
        if self._grammar.quoting != "triple":
            return table
        columns = [pc.utf8_trim(column.cast(pa.string()), '"') for column in table.columns]
        return pa.table(columns, table.schema.names).cast(table.schema)

    def _table(self, records: Sequence[list[str]]) -> pa.Table:
        columns = [
            pa.array([fields[at] for fields in records], kind)
            for at, kind in zip(self._wanted, self._schema.types, strict=True)
        ]
        return pa.table(columns, self._schema)

    def _mended(
        self, lines: Lines, apart: Mapping[int, Record]
    ) -> tuple[dict[int, list[str]], dict[int, tuple[str, str]], Counter[str]]:
        """Fields of records by their first line; the rule and text of torn ones; the repairs."""
        fields: dict[int, list[str]] = {}
        torn: dict[int, tuple[str, str]] = {}
        repairs: Counter[str] = Counter()
        for at, record in apart.items():
            text = lines.block[lines.starts[at] : record.end]
            name, found = self._mend_record(record, text)
            if found is None:
                torn[at] = name, text[:-1].decode(errors="replace")
                continue
            fields[at] = found
            repairs += Counter([name] if name else [])
        return fields, torn, repairs

    def _mend_record(self, record: Record, text: bytes) -> tuple[str, list[str] | None]:
        """The name of the repair if one was needed, and the fields; or the broken rule and None."""
        if record.fields is not None and record.is_clean:
            return "", record.fields
        for other in self._others if b'"' in text else ():
            found = other.fitting(text, 0, self._n_fields)
            if found.fields is not None and found.is_clean and found.end == len(text):
                return "other_quoting", found.fields
        if record.fields is not None:
            return "", record.fields
        fields = self._grammar.record(text, 0).fields
        if self._mend is not None:
            likely = fields or text.decode(errors="replace")[:-1].split(self._grammar.delimiter)
            mended = self._mend.mend(likely, self._grammar.delimiter)
            if mended is not None and len(mended) == self._n_fields:
                return self._mend.name, mended
        return ("unclosed_quote" if fields is None else "wrong_field_count"), None
