from datetime import UTC, datetime

import pytest

from pipelines.pages.markdown import escaped, markdown
from pipelines.pages.page import Chart, Page, Section, Table

DATE = datetime(2026, 3, 5, tzinfo=UTC)


def test_headings_sentences_what_charts_say_and_tables_come_in_their_order():
    section = Section(
        "Numbers",
        text=["Two of them."],
        charts={"lead": Chart("Lead", "A is ahead.", "<svg/>")},
        table=Table(["", "Value"], [["A", "1"], ["B", "2"]], folded=True),
    )
    assert markdown(Page("Card", "run-1", DATE, [section])) == (
        "# Card\n\n## Numbers\n\nTwo of them.\n\n**Lead.** A is ahead.\n\n"
        "|  | Value |\n| --- | --- |\n| A | 1 |\n| B | 2 |\n"
    )


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<script>", "&lt;script&gt;"),
        ("a|b", r"a\|b"),
        ("[x](y)", r"\[x\](y)"),
        ("*_`#~", r"\*\_\`\#\~"),
        ("one\n\n# two", r"one \# two"),
        ("R&amp;D", "R&amp;amp;D"),
    ],
)
def test_whatever_stands_in_a_text_is_read_as_it_stands(text: str, plain: str):
    assert escaped(text) == plain
