"""ISBNs: checksums, the zeros that spreadsheets eat, and one form for all of them."""

import re
from operator import mul

_NOISE = re.compile(r"^isbn(?:-?1[03](?!\d))?|[\s\-\u2010-\u2013=\"':]", re.IGNORECASE)
_DECIMAL = re.compile(r"\.0+$")
_VALUES = {digit: value for value, digit in enumerate("0123456789X")}
_ISBN10 = re.compile(r"[0-9]{9}[0-9X]")
_SHORTENED = re.compile(r"[0-9]{6,9}[0-9X]")  # an ISBN-10 begins with three zeros at most
_ISBN13 = re.compile(r"97[89][0-9]{10}")
_SCIENTIFIC = re.compile(r"\s*[0-9]+(?:[.,][0-9]*E[+-]?|E\+)[0-9]+\s*", re.IGNORECASE)
_PROPER = re.compile(r"[0-9][0-9 -]*[0-9X]")


def is_isbn10(text: str) -> bool:
    """Whether `text` is ten characters with a fitting check digit, and not all zeros."""
    if not _ISBN10.fullmatch(text) or text == "0" * 10:
        return False
    return sum(map(mul, range(10, 0, -1), map(_VALUES.__getitem__, text))) % 11 == 0


def is_isbn13(text: str) -> bool:
    """Whether `text` is thirteen digits from the book range with a fitting check digit."""
    return bool(_ISBN13.fullmatch(text)) and text[-1] == _check_digit13(text[:12])


def isbn10_to_13(isbn10: str) -> str:
    """The ISBN-13 of a valid ISBN-10."""
    stem = f"978{isbn10[:9]}"
    return stem + _check_digit13(stem)


def restore_zeros(text: str) -> str | None:
    """The ISBN-10 that lost its leading zeros, or None where the checksum denies it."""
    padded = text.zfill(10)
    return padded if _SHORTENED.fullmatch(text) and is_isbn10(padded) else None


def normalise_isbn(text: str) -> str | None:
    """The ISBN-13 that `text` means, or None; hyphens, blanks and a leading "ISBN" are allowed."""
    spelling = spelt_out(text)
    if spelling is None or len(spelling) == len("9780306406157"):
        return spelling
    return isbn10_to_13(spelling)


def spelt_out(text: str) -> str | None:
    """The ISBN that `text` means, of ten or thirteen digits, its zeros put back; or None."""
    bare = text if text.isdigit() else _DECIMAL.sub("", _NOISE.sub("", text.strip())).upper()
    return bare if is_isbn13(bare) else restore_zeros(bare)


def lost_zeros(text: str, spelling: str) -> bool:
    """Whether `spelling` is `text` with zeros put back in front."""
    return spelling.startswith("0") and spelling not in _NOISE.sub("", text.strip()).upper()


def is_proper(text: str) -> bool:
    """Whether an ISBN is written as on a book: digits, perhaps parted by hyphens or blanks."""
    return bool(_PROPER.fullmatch(text))


def is_hopeless(text: str) -> bool:
    """Whether no book can be told from it: a number rounded by a spreadsheet, or no digit left."""
    has_digit = any(map(str.isdigit, text)) and not set(text.upper()) <= {"0", "X"}
    return not has_digit or bool(_SCIENTIFIC.fullmatch(text))


def _check_digit13(stem: str) -> str:
    total = sum(map(mul, (1, 3) * 6, map(_VALUES.__getitem__, stem)))
    return str(-total % 10)
