import re
from datetime import UTC, datetime

from pipelines.pages.charts import INK, Estimate, bars
from pipelines.pages.page import Chart, Page, Section, Table

HOSTILE = "<script>alert(1)</script>"
WHEN = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)


def page(*sections: Section) -> Page:
    return Page("Evaluation", HOSTILE, WHEN, sections)


def hostile_section() -> Section:
    drawn = bars({HOSTILE: Estimate(1)}, label=HOSTILE)
    return Section(
        HOSTILE,
        text=[HOSTILE],
        charts={"all": Chart(HOSTILE, f'"{HOSTILE}', drawn)},
        table=Table([HOSTILE], [[HOSTILE, HOSTILE]]),
    )


def test_all_that_is_told_is_escaped():
    html = page(hostile_section()).html()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 10
    assert '""&lt;' not in html


def test_a_page_loads_nothing():
    html = page(hostile_section()).html()
    assert "default-src 'none'" in html
    assert not re.findall(r"<(?:link|img|script|iframe|image)\b", html)
    assert not re.findall(r"(?:src|href)=\"(?!#)", html)
    assert not re.findall(r"@import|url\((?!#)", html)


def test_a_section_may_have_nothing_but_its_title():
    html = page(Section("Empty")).html()
    assert "<h2>Empty</h2>" in html
    assert not re.findall("<(?:table|figure|details)", html)


def test_text_of_a_chart_has_the_colour_of_the_page_there_and_its_own_in_the_file(tmp_path):
    whole = page(hostile_section())
    whole.write(tmp_path, "report")
    assert INK not in (tmp_path / "report.html").read_text()
    assert "var(--ink)" in (tmp_path / "report.html").read_text()
    assert INK in (tmp_path / "all.svg").read_text()
    assert "var(" not in (tmp_path / "all.svg").read_text()


def test_a_page_says_of_which_run_and_when():
    assert "5 March 2026 at 09:30 UTC" in page().html()


def test_folded_numbers_are_there_to_be_opened():
    html = page(Section("One", table=Table(["a"], [["1"]], folded=True))).html()
    assert html.index("<details>") < html.index("<table>") < html.index("</details>")
