r"""
What happened to Book-Crossing on its way, and how it is undone where there is no doubt.

Written without quotes, a title or a location that holds delimiters makes several fields of one.
Read by other rules for quotes than it was written by, `"\"It\" rains"` became `\It\" rains"`, and
`"Rain\";"Ann"` one title, with all that follows moved by one column.
"""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.sources.csv_blocks import Mend
from pipelines.data.sources.raw_file import RawBatch

_ENTITY = re.compile(r"&(?:[A-Za-z]{2,8}|#\d{1,6}|#x[0-9A-Fa-f]{1,6})")
_ISBN = re.compile(r"[0-9][0-9-]{6,15}[0-9Xx]|[A-Z0-9]{10}")
_YEAR = re.compile(r"\d{4}|0")
_AGE = re.compile(r"\d{1,3}(?:\.0)?|NULL|null|\\N|")
_URL = "http"
_SPLIT_TITLE = re.compile(r'\\*"+;"*')


def mend_book(fields: list[str], delimiter: str) -> list[str] | None:
    """
    The fields of a book of which the title, the author or the publisher holds delimiters.

    An ISBN in front, one year in the middle and the addresses of images at the end say what the
    rest is: left of the year title and author, of which the last piece is the author; right of it
    the publisher. Delimiters that end an entity (`&amp;`) belong to the text in any case.
    """
    fields = _entities_joined(fields) if delimiter == ";" else fields
    images = [field for field in fields if field.startswith(_URL)]
    about = fields[: len(fields) - len(images)]
    if not _ISBN.fullmatch(about[0].strip()) or fields[len(about) :] != images:
        return None
    years = [at for at in range(3, len(about) - 1) if _YEAR.fullmatch(about[at].strip())]
    if len(years) == 1:
        (at,) = years
        title, publisher = delimiter.join(about[1 : at - 1]), delimiter.join(about[at + 1 :])
        return [about[0], title, about[at - 1], about[at], publisher, *images]
    if len(about) == 4 and _YEAR.fullmatch(about[2].strip()) and (pair := _split_title(about[1])):
        return [about[0], *pair, about[2], about[3], *images]
    return None


def mend_reader(fields: list[str], delimiter: str) -> list[str] | None:
    """The fields of a reader whose location holds delimiters, between a number and an age."""
    if len(fields) < 3 or not fields[0].strip().isdecimal() or not _AGE.fullmatch(fields[-1]):
        return None
    return [fields[0], delimiter.join(fields[1:-1]), fields[-1]]


MEND_BOOK = Mend("surplus_delimiters", mend_book)
MEND_READER = Mend("surplus_delimiters", mend_reader)


def realigned(raw: RawBatch) -> RawBatch:
    """Books with the columns of joined titles moved back, and quotes restored that were lost."""
    if not {"title", "authors", "year"} <= set(raw.columns.column_names):
        return raw
    columns = {name: raw.columns[name].to_pylist() for name in ("title", "authors", "year")}
    damaged = pc.match_substring_regex(raw.columns["title"], r'\\"|";')
    repairs = {"title_with_author": 0, "escaped_quotes": 0}
    for at in np.flatnonzero(damaged.to_numpy()).tolist():
        title, author, year = (columns[name][at] for name in columns)
        pair = _split_title(title)
        if pair and _YEAR.fullmatch(author) and not _YEAR.fullmatch(year):
            columns["title"][at], columns["authors"][at] = pair
            columns["year"][at] = author
            repairs["title_with_author"] += 1
        elif '\\"' in title:
            columns["title"][at] = _requoted(title)
            repairs["escaped_quotes"] += 1
    table = raw.columns
    for name, values in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(at, name, pa.array(values, pa.string()))
    told = {name: n for name, n in repairs.items() if n}
    return replace(raw, columns=table, repairs={**raw.repairs, **told})


def _entities_joined(fields: list[str]) -> list[str]:
    joined = fields[:1]
    for field in fields[1:]:
        _, and_sign, name = joined[-1].rpartition("&")
        if and_sign and _ENTITY.fullmatch(f"&{name}"):
            joined[-1] = f"{joined[-1]};{field}"
        else:
            joined.append(field)
    return joined


def _split_title(title: str) -> tuple[str, str] | None:
    parts = _SPLIT_TITLE.split(title)
    return (parts[0], parts[1].strip('"')) if len(parts) == 2 and all(parts) else None


def _requoted(title: str) -> str:
    r"""`\It\" happens"` to `"It" happens`: each backslash stood before a quote."""
    return title.removesuffix('"').replace('\\"', '"').replace("\\", '"')
