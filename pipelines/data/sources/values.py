"""Columns as found to columns as the schemas want them, with a mask of what could not be read."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from pipelines.data.quarantine import Mask
from pipelines.data.schemas import ENCODED, RATING_FIELDS

MAX_ID_LENGTH = 255
INSTANT = RATING_FIELDS[1].type

_BLANK = r"^\s*$"
_CONTROL = r"[\x00-\x1f\x7f-\x{9f}]"
_NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$"
_ISO_DATE = r"^\s*[0-9]{4}-?[0-9]{2}"
EpochUnit = Literal["s", "ms", "us", "ns"]
_UNITS: tuple[tuple[EpochUnit, float], ...] = (("s", 1e11), ("ms", 1e14), ("us", 1e17))
_MICROSECONDS: dict[str, float] = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
# From the year 1 to the year 9999, what Python and PostgreSQL can both write.
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999


class Read(NamedTuple):
    """A column of the wanted type, and which values were there but unreadable (null in it)."""

    column: pa.Array
    unreadable: Mask


def nothing(name: str, n: int) -> Read:
    """`n` unknown values for the field `rating`, or for `rated_at`."""
    return Read(pa.nulls(n, RATING_FIELDS[0 if name == "rating" else 1].type), np.zeros(n, bool))


class UnfitTypeError(TypeError):
    """A typed column cannot mean what it was taken for."""


def ids(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """
    Ids as text exactly as found; whole floats lose the ".0" that a missing value gave them.

    Raises:
        UnfitTypeError: neither text nor numbers.
    """
    kind = column.type
    if kinds.is_floating(kind):
        return _float_texts(_combined(column.cast(pa.float64()))).dictionary_encode()
    if kinds.is_integer(kind) or kinds.is_decimal(kind) or kinds.is_null(kind):
        return _encoded(column.cast(pa.string()))
    if not _is_text(kind):
        raise UnfitTypeError(f"holds {kind}, not text or whole numbers")
    return _encoded(column)


def check_ids(encoded: pa.DictionaryArray) -> tuple[Mask, Mask]:
    """Which ids are null or blank, and which too long for a key or with control characters."""
    unique = encoded.dictionary  # each is looked at once
    if not encoded.null_count and _are_plain(unique):
        return np.zeros(len(encoded), bool), np.zeros(len(encoded), bool)
    missing = _mask(pc.match_substring_regex(unique, _BLANK))
    malformed = _mask(pc.match_substring_regex(unique, _CONTROL)) | _mask(
        pc.greater(pc.utf8_length(unique), MAX_ID_LENGTH)
    )
    codes = encoded.indices.fill_null(len(unique))
    return np.append(missing, True)[codes], np.append(malformed, False)[codes]


def ratings(column: pa.ChunkedArray) -> Read:
    """
    Ratings as float64; an empty value is null, an implicit positive.

    Raises:
        UnfitTypeError: neither text nor numbers.
    """
    if _is_text(column.type):
        encoded = _encoded(column)  # ratings repeat
        codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy()
        unique = pa.chunked_array([encoded.dictionary])
        blank = _mask(pc.match_substring_regex(unique, _BLANK))
        numbers = np.append(_numbers(unique), np.nan)[codes]
        present = ~np.append(blank, True)[codes]
    elif _is_numeric(column.type):
        numbers = column.cast(pa.float64(), safe=False).to_numpy()
        present = _mask(column.is_valid())
    else:
        raise UnfitTypeError(f"holds {column.type}, not numbers")
    finite = np.isfinite(numbers)
    return Read(pa.array(numbers, mask=~finite), present & ~finite)


def epoch_unit(column: pa.ChunkedArray) -> EpochUnit | None:
    """The unit of epoch numbers, told by the magnitude of their median; None if there are none."""
    if kinds.is_string(column.type):
        numbers = _numbers(column)
    elif _is_numeric(column.type):
        numbers = column.cast(pa.float64(), safe=False).to_numpy()
    else:
        return None
    known = np.abs(numbers[np.isfinite(numbers)])
    if not known.size:
        return None
    middle = float(np.median(known))
    return next((unit for unit, most in _UNITS if middle < most), "ns")


def instants(column: pa.ChunkedArray, unit: EpochUnit) -> Read:
    """
    Moments in UTC from epoch numbers, ISO 8601 text (UTC if it names no zone) or typed times.

    Args:
        column: The values.
        unit: Of epoch numbers.

    Raises:
        UnfitTypeError: neither text, numbers nor times.
    """
    if kinds.is_timestamp(column.type) or kinds.is_date(column.type):
        typed = column if kinds.is_timestamp(column.type) else column.cast(pa.timestamp("ms"))
        micros = _scaled(typed.cast(pa.int64()), typed.type.unit)
        present = _mask(column.is_valid())
    elif _is_numeric(column.type):
        numbers = column.cast(pa.float64(), safe=False).to_numpy()
        micros = numbers * _MICROSECONDS[unit]
        present = _mask(column.is_valid())
    elif kinds.is_string(column.type):
        micros, present = _text_instants(column, unit)
    else:
        raise UnfitTypeError(f"holds {column.type}, not times")
    good = (micros >= _EARLIEST) & (micros <= _LATEST)  # NaN compares false
    return Read(
        pa.array(np.where(good, micros, 0).astype(np.int64), mask=~good).cast(INSTANT),
        present & ~good,
    )


def _text_instants(
    column: pa.ChunkedArray, unit: EpochUnit
) -> tuple[npt.NDArray[np.float64], Mask]:
    """Microseconds since 1970, NaN where unreadable, and which values are there at all."""
    plain = _plain_numbers(column)
    if plain is not None:
        return plain * _MICROSECONDS[unit], _mask(column.is_valid())
    encoded = _combined(column).dictionary_encode()  # dates repeat
    unique = pa.chunked_array([encoded.dictionary])
    numbers = _numbers(unique)
    micros = numbers * _MICROSECONDS[unit]
    is_date = _mask(pc.match_substring_regex(unique, _ISO_DATE)) & np.isnan(numbers)
    texts = pd.Series(unique.filter(pa.array(is_date)).to_pylist(), dtype="object")
    parsed = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    stamps = parsed.dt.as_unit("us")
    micros[is_date] = np.where(stamps.isna(), np.nan, stamps.astype("int64"))
    blank = _mask(pc.match_substring_regex(unique, _BLANK))
    codes = encoded.indices.fill_null(-1).to_numpy()
    present = (codes >= 0) & ~np.append(blank, True)[codes]
    return np.append(micros, np.nan)[codes], present


def _scaled(counts: pa.ChunkedArray, unit: str) -> npt.NDArray[np.float64]:
    return counts.cast(pa.float64(), safe=False).to_numpy() * _MICROSECONDS[unit]


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Plain decimal numbers; NaN for any other text."""
    if (numbers := _plain_numbers(column)) is not None:
        return numbers
    plain = pc.match_substring_regex(column, _NUMBER)
    texts = pc.utf8_trim_whitespace(pc.if_else(plain, column, None))
    unsigned = pc.utf8_ltrim(texts, characters="+")
    return unsigned.cast(pa.float64()).to_numpy()


def _plain_numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64] | None:
    """The usual case, at once: every text is a number, or null; None if not."""
    try:
        numbers = column.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _float_texts(numbers: pa.Array) -> pa.Array:
    known = pc.if_else(pc.is_finite(numbers), numbers, None)
    whole = pc.and_(pc.equal(pc.floor(known), known), pc.less(pc.abs(known), 2.0**63))
    return pc.if_else(
        whole,
        pc.if_else(whole, known, None).cast(pa.int64()).cast(pa.string()),
        known.cast(pa.string()),
    )


def _is_numeric(kind: pa.DataType) -> bool:
    return (
        kinds.is_integer(kind)
        or kinds.is_floating(kind)
        or kinds.is_decimal(kind)
        or kinds.is_boolean(kind)
        or kinds.is_null(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return kinds.is_string(kind) or kind == ENCODED


def _are_plain(texts: pa.Array) -> bool:
    """The usual case, at once: all are 1 to 255 printable signs of ASCII, none of them a blank."""
    _, ends, signs = texts.buffers()
    bounds = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(bounds)
    if not len(texts) or lengths.min() == 0 or lengths.max() > MAX_ID_LENGTH:
        return False
    found = np.frombuffer(signs, np.uint8)[bounds[0] : bounds[-1]]
    return bool(found.min() > ord(" ") and found.max() <= ord("~"))


def _combined(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    whole = _combined(column)
    return whole if kinds.is_dictionary(whole.type) else whole.dictionary_encode()


def _mask(values: pa.Array | pa.ChunkedArray) -> Mask:
    return np.asarray(pc.fill_null(values, False), bool)
