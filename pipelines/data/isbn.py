"""ISBNs: checksums, the zeros that spreadsheets eat, and one form for all of them."""

import re

_NOISE = re.compile(r"^isbn(?:-?1[03](?!\d))?|[\s\-\u2010-\u2013=\"':]", re.IGNORECASE)
_DECIMAL = re.compile(r"\.0+$")
_ISBN10 = re.compile(r"[0-9]{9}[0-9X]")
_SHORTENED = re.compile(r"[0-9]{6,9}[0-9X]")  # an ISBN-10 begins with three zeros at most
_ISBN13 = re.compile(r"97[89][0-9]{10}")


def is_isbn10(text: str) -> bool:
    """Whether `text` is ten characters with a fitting check digit, and not all zeros."""
    if not _ISBN10.fullmatch(text) or text == "0" * 10:
        return False
    digits = [10 if c == "X" else int(c) for c in text]
    return (
        sum(weight * digit for weight, digit in zip(range(10, 0, -1), digits, strict=True)) % 11
        == 0
    )


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
    bare = _DECIMAL.sub("", _NOISE.sub("", text.strip())).upper()
    if is_isbn13(bare):
        return bare
    restored = restore_zeros(bare)
    return None if restored is None else isbn10_to_13(restored)


def _check_digit13(stem: str) -> str:
    total = sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(stem))
    return str(-total % 10)
