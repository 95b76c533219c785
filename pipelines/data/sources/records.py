r"""
One record of CSV at a time, slowly and exactly: for what the fast reader cannot be trusted with.

A quotation mark that is opened and never properly closed, or closed so far below that rows of their
own lie inside, is a stray one: its line is torn, and no other line is lost with it.
"""

import re
from typing import Literal, NamedTuple

Quoting = Literal["doubled", "backslash", "triple", "none"]
r"""
How a value may hold the delimiter: in quotes, where inner ones are doubled (`"say ""b"" to"`) or
escaped as well (`"say \"b\" to"`); in quotes, with further ones around it that are no part of it
(`triple`); or not at all, a quote being a sign like any other (`none`).
"""
MAX_RECORD_BYTES = 1 << 20
"""Of a record of several lines."""


class Record(NamedTuple):
    """What was found at a place in a block."""

    end: int | None
    """Behind its line feed; None where a quote is still open at the end of the block."""
    fields: list[str] | None
    """None where a quote is not properly closed."""
    is_clean: bool = True
    """False where a value goes on behind its closing quote."""


class _Field(NamedTuple):
    value: str | None
    end: int
    is_clean: bool = True


class Grammar:
    """How to take records apart."""

    def __init__(self, delimiter: str, quoting: Quoting) -> None:
        sign = re.escape(delimiter.encode())
        self.delimiter, self.quoting = delimiter, quoting
        self._delimiter = delimiter.encode()
        escapes = quoting == "backslash"
        plain = rb"(?:[^%b\n\\]+|\\[^\n]?)*+" if escapes else rb"[^%b\n]*+"
        quoted = rb'"((?:[^"\\]+|\\.|"")*+)"' if escapes else rb'"((?:[^"]+|"")*+)"'
        self._plain = re.compile(plain % sign)
        self._quoted = re.compile(quoted, re.DOTALL)
        self._marks = re.compile(rb'\\(.)|"(")' if escapes else rb'()"(")', re.DOTALL)
        self._escape = re.compile(rb"\\(.)")

    def record(self, block: bytes, start: int, n_fields: int | None = None) -> Record:
        """The record that begins at `start`; rows of `n_fields` inside of a value make it torn."""
        fields: list[str] = []
        at, is_clean = start, True
        while True:
            field = self._field(block, at, start + MAX_RECORD_BYTES, n_fields)
            if field.value is None:
                return Record(None if field.end == len(block) else field.end, None)
            fields.append(field.value)
            is_clean &= field.is_clean
            if block.startswith(b"\n", field.end):
                return Record(field.end + 1, fields, is_clean)
            at = field.end + 1

    def fitting(self, block: bytes, start: int, n_fields: int) -> Record:
        """
        The same, its fields None also if they are not `n_fields`.

        A torn line is a record of its own: a stray quote takes no other line along.
        """
        record = self.record(block, start, n_fields)
        if record.end is None:
            return record
        if record.fields is None:
            return Record(block.find(b"\n", start) + 1, None)
        return record if len(record.fields) == n_fields else Record(record.end, None)

    def _field(self, block: bytes, at: int, limit: int, n_fields: int | None) -> _Field:
        """A value and where it ends; without a value, the end of the block if a quote is open."""
        if self.quoting == "none" or not block.startswith(b'"', at):
            found = self._plain_at(block, at)
            value = self._escape.sub(rb"\1", found) if self.quoting == "backslash" else found
            return _Field(_text(value), at + len(found))
        quoted = self._quoted.match(block, at, limit)
        if quoted is None:
            return _Field(None, min(limit, len(block)))
        behind = self._plain_at(block, quoted.end())
        if b"\n" in quoted[1] and (behind or self._holds_rows(quoted[1], n_fields)):
            return _Field(None, at)
        text = _text(self._marks.sub(_mark, quoted[1]) + behind)
        text = text.strip('"') if self.quoting == "triple" else text
        return _Field(text, quoted.end() + len(behind), not behind)

    def _plain_at(self, block: bytes, at: int) -> bytes:
        found = self._plain.match(block, at)
        return found[0] if found else b""

    def _holds_rows(self, value: bytes, n_fields: int | None) -> bool:
        """Whether most of the whole lines in a value might be rows."""
        inside = [line for line in value.split(b"\n")[1:-1] if line]
        rows = sum(line.count(self._delimiter) + 1 == n_fields for line in inside)
        return 2 * rows > len(inside)


def _mark(found: re.Match[bytes]) -> bytes:
    return found[1] or found[2]


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
