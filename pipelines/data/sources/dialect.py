"""How a text file is written: told by its first part, or by whoever runs the pipeline."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import structlog
from upath import UPath

from pipelines.data.sources.records import Grammar, Quoting
from pipelines.data.sources.text_lines import detect_encoding
from pipelines.errors import ConfigurationError

log = structlog.get_logger()

HEAD_BYTES = 256 << 10
"""What detection looks at,"""
HEAD_LINES = 2_000
"""and of the quoting, no further than this."""
DELIMITERS = ",;\t|"
"""Those that are detected, the likeliest first; any other sign can be forced."""
_NAMED = {"comma": ",", "semicolon": ";", "tab": "\t", r"\t": "\t", "pipe": "|"}
_LINE_ENDS = {"CRLF": "\r\n", "LF": "\n", "CR": "\r"}
_CANDIDATES: tuple[Quoting, ...] = ("doubled", "backslash", "none")


@dataclass(frozen=True)
class Dialect:
    """How one file is written."""

    delimiter: str
    encoding: str
    quoting: Quoting


@dataclass(frozen=True)
class ForcedDialect:
    """
    What is not to be detected; None leaves it to detection.

    Raises:
        ConfigurationError: on creation, for a value that cannot be; names those that can.
    """

    delimiter: str | None = None
    encoding: str | None = None
    quoting: str | None = None

    def __post_init__(self) -> None:
        sign = self.delimiter_sign
        if sign is not None and (len(sign) != 1 or not sign.isascii() or sign in '"\\\r\n\0'):
            raise ConfigurationError(
                f"delimiter {self.delimiter!r} cannot separate values: give one sign of ASCII that "
                f"is no quote, backslash or line end, or one of {', '.join(_NAMED)}"
            )
        if self.encoding is not None and not _is_text_encoding(self.encoding):
            raise ConfigurationError(
                f"there is no encoding {self.encoding!r}: give one that Python knows, such as "
                "utf-8, latin-1, cp1252 or utf-16"
            )
        if self.quoting is not None and self.quoting not in get_args(Quoting):
            allowed = ", ".join(get_args(Quoting))
            raise ConfigurationError(f"there is no quoting {self.quoting!r}: choose from {allowed}")

    @property
    def delimiter_sign(self) -> str | None:
        """The delimiter, its name replaced by the sign."""
        return None if self.delimiter is None else _NAMED.get(self.delimiter, self.delimiter)

    @property
    def given(self) -> Mapping[str, str]:
        """What is forced, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


DETECTED = ForcedDialect()
"""Nothing is forced."""


def detect(path: UPath, head: bytes, forced: ForcedDialect) -> Dialect:
    """The dialect of a file that begins with `head`; logged."""
    encoding = forced.encoding or detect_encoding(head)
    text = head.decode(encoding, errors="replace").lstrip("\ufeff\r\n ")
    line_ends = _line_ends(text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    sample = [line for line in (lines[:-1] or lines) if line.strip()]
    delimiter = forced.delimiter_sign or _delimiter(sample)
    quoting = forced.quoting or _quoting(sample, delimiter)
    dialect = Dialect(delimiter, encoding, quoting)  # type: ignore[arg-type] # held in ForcedDialect
    log.info(
        "dialect_detected",
        file=str(path),
        **vars(dialect),
        line_ends=line_ends,
        forced=sorted(forced.given),
    )
    return dialect


def _line_ends(text: str) -> str:
    pairs = text.count("\r\n")
    counts = {"CRLF": pairs, "LF": text.count("\n") - pairs, "CR": text.count("\r") - pairs}
    return max(counts, key=counts.__getitem__)


def _delimiter(lines: list[str]) -> str:
    """The one that the header has most of; between equals the one that rows have as often."""
    if not lines:
        return DELIMITERS[0]
    bare = ["".join(line.split('"')[::2]) for line in lines[:100]]

    def evidence(sign: str) -> tuple[int, int]:
        in_header = bare[0].count(sign)
        return in_header, sum(line.count(sign) == in_header for line in bare)

    return max(DELIMITERS, key=evidence)


def _quoting(lines: list[str], delimiter: str) -> Quoting:
    """The one under which most lines belong to records of as many fields as the header."""
    if not any('"' in line for line in lines[1:]):  # quotes of the header alone prove nothing
        return "doubled"
    grammars = [Grammar(delimiter, quoting) for quoting in _CANDIDATES]
    block = "".join(f"{line}\n" for line in lines[:HEAD_LINES]).encode()
    best = max(grammars, key=lambda grammar: _lines_in_records(block, grammar))
    if best.quoting == "doubled" and _is_triple(block, delimiter):
        return "triple"
    return best.quoting


def _lines_in_records(block: bytes, grammar: Grammar) -> int:
    """How many lines speak for a grammar."""
    header = grammar.record(block, 0)
    n_fields, at, lines = len(header.fields or ()), header.end or len(block), 0
    is_none = grammar.quoting == "none"
    while at < len(block):
        record = grammar.fitting(block, at, n_fields)
        end = record.end or block.find(b"\n", at) + 1
        fields = record.fields or [] if record.is_clean else []
        if fields and not (is_none and any(map(_is_wrapped, fields))):
            lines += block.count(b"\n", at, end)
        at = end
    return lines - is_none  # one stray quote is an accident


def _is_wrapped(value: str) -> bool:
    return len(value) > 1 and value.startswith('"') and value.endswith('"')


def _is_triple(block: bytes, delimiter: str) -> bool:
    """Whether most values in quotes have further quotes around them."""
    sign = re.escape(delimiter.encode())
    quoted = re.findall(rb'(?m)(?:^|%b)"' % sign, block)
    tripled = re.findall(rb'(?m)(?:^|%b)"""[^"\n]*"""(?=%b|$)' % (sign, sign), block)
    return 2 * len(tripled) > len(quoted)


def _is_text_encoding(name: str) -> bool:
    try:
        decoder = codecs.getincrementaldecoder(name)()
        return decoder.decode("a,".encode(name), final=True) == "a,"
    except (LookupError, UnicodeError, TypeError):  # unknown, or no encoding of texts
        return False
