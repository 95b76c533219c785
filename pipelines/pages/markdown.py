"""A page as Markdown: its sentences and tables; of charts, what they say."""

import re
from collections.abc import Iterable, Iterator

from pipelines.pages.page import Page, Section, Table

_LINES = re.compile(r"\s*[\r\n\v\f\u2028\u2029]\s*")
_MEANS_SOMETHING = re.compile(r"([\\`*_\[\]|#~])")


def markdown(page: Page) -> str:
    """The whole page."""
    return "\n\n".join([f"# {escaped(page.title)}", *sections(page.sections)]) + "\n"


def sections(chosen: Iterable[Section]) -> Iterator[str]:
    """Each section, under a heading of the second level."""
    for section in chosen:
        yield f"## {escaped(section.title)}"
        yield from map(escaped, section.text)
        for chart in section.charts.values():
            yield f"**{escaped(chart.title)}.** {escaped(chart.says)}"
        if section.table is not None:
            yield _table(section.table)


def escaped(text: str) -> str:
    """Text that is read as it stands, in Markdown and in the HTML that is made of it."""
    in_one_line = _LINES.sub(" ", text)
    plain = in_one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MEANS_SOMETHING.sub(r"\\\1", plain)


def _table(table: Table) -> str:
    rule = _row(["---"] * len(table.header))
    head, *rows = (_row(map(escaped, row)) for row in (table.header, *table.rows))
    return "\n".join([head, rule, *rows])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
