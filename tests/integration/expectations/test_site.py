"""The report, as a folder of pages."""

import logging
import os
import re
import socket
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from expectations.great_expectations_context import new_context
from expectations.runner import validate
from expectations.suites import books_suite, features_suite, ratings_suite
from tests.integration.expectations.frames import NOW, books, features, ratings, spoiled

HOSTILE = "<script>alert(1)</script>"
HOSTILE_ID = "<img src='https://evil.example/x.png'>"
RUN_NAME = "manual__2026-01-31T00:00:00+00:00"


class Page(HTMLParser):
    """What a browser would make of a page: its elements and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += f"{data} "

    @property
    def links(self) -> list[str]:
        return [attrs["href"] or "" for _, attrs in self.elements if "href" in attrs]


def frames():
    n_isbns = 5_000
    catalogue = books().loc[[0] * n_isbns].reset_index(drop=True)
    return {
        "ratings": (
            ratings_suite((1, 5), now=NOW),
            spoiled(ratings(), "user_id", [HOSTILE_ID] * 5),  # two pairs are now the same
        ),
        "books": (
            books_suite(now=NOW),
            catalogue.assign(
                book_id=HOSTILE,
                isbn13=[f"{HOSTILE}{num}" for num in range(n_isbns)],
                row=range(1, n_isbns + 1),
            ),
        ),
        "features": (features_suite(), features()),
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "docs"
    validate(frames(), run_name=RUN_NAME, docs_folder=folder)
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    return {path.name: Page(path) for path in site.iterdir()}


def test_site_is_an_index_and_a_page_a_table(pages):
    assert set(pages) == {"index.html", "ratings.html", "books.html", "features.html"}


def test_pages_hold_nothing_that_a_browser_would_load(pages):
    loading = {"script", "link", "img", "iframe", "object", "embed", "base", "audio", "video"}
    for page in pages.values():
        assert loading.isdisjoint(tag for tag, _ in page.elements)
        for _, attributes in page.elements:
            assert not {"src", "srcset", "background", "action"} & set(attributes)
            assert not [name for name in attributes if name.startswith("on")]


def test_styles_load_nothing(site):
    for path in site.iterdir():
        assert not re.search(r"url\(|@import|@font-face", path.read_text(encoding="utf-8"))


def test_browsers_are_told_to_load_nothing(pages):
    for page in pages.values():
        policies = [a.get("content") for _, a in page.elements if a.get("http-equiv")]
        assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_links_lead_to_places_within_the_site(site, pages):
    for page in pages.values():
        anchors = {f"#{attrs['id']}" for _, attrs in page.elements if "id" in attrs}
        targets = anchors | {path.name for path in site.iterdir()}
        assert set(page.links) <= targets


def test_index_leads_to_every_page(pages):
    assert set(pages) - {"index.html"} <= set(pages["index.html"].links)


def test_values_of_the_data_are_shown_as_text(pages):
    assert HOSTILE in pages["books.html"].text
    assert HOSTILE in pages["index.html"].text
    assert HOSTILE_ID in pages["index.html"].text
    assert HOSTILE_ID in pages["ratings.html"].text.replace('"', "'")


def test_page_shows_few_of_many_breaking_values(pages, site):
    assert len(set(re.findall(r"</script>(\d+)", pages["books.html"].text))) <= 10
    assert (site / "books.html").stat().st_size < 60_000


def test_page_shows_few_of_many_repeated_pairs(tmp_path):
    n_pairs = 3_000
    frame = pd.concat([ratings().iloc[[0] * n_pairs]] * 2, ignore_index=True).assign(
        user_id=[f"reader-{num}" for num in range(n_pairs)] * 2, row=range(2 * n_pairs)
    )
    validate({"ratings": (ratings_suite(None), frame)}, run_name="r", docs_folder=tmp_path)
    assert 1 <= len(set(re.findall(r"reader-\d+", Page(tmp_path / "ratings.html").text))) <= 10


def test_index_tells_what_was_found(pages):
    text = " ".join(pages["index.html"].text.split())
    assert RUN_NAME in text
    assert "5,000 rows" in text
    assert "Accepted, with warnings" in text
    assert "A reader rates a book once (of several ratings the last one counts)" in text


def test_index_tells_of_refusal_and_of_rows_set_aside(tmp_path):
    frame = spoiled(ratings(), "rating", [99, 99, 99])
    validate(
        {"ratings": (ratings_suite((1, 5), now=NOW), frame)}, run_name="r", docs_folder=tmp_path
    )
    text = " ".join(Page(tmp_path / "index.html").text.split())
    assert "Refused: nothing is learnt from this data" in text
    assert "3 rating out of scale" in text


def test_result_page_tells_level_rule_and_rows(tmp_path):
    frame = spoiled(ratings(), "rating", [99])
    validate(
        {"ratings": (ratings_suite((1, 5), now=NOW), frame)}, run_name="r", docs_folder=tmp_path
    )
    text = " ".join(Page(tmp_path / "ratings.html").text.split())
    assert "critical Ratings lie between 1 and 5 Found Times Row 99.0 1 101" in text
    assert "rating_out_of_scale" in text


def test_run_is_silent_offline_and_writes_nowhere_else(tmp_path, monkeypatch, capfd, caplog):
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with caplog.at_level(logging.INFO):
        validate(frames(), run_name=RUN_NAME, docs_folder=tmp_path / "docs")
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []
    assert {path.name for path in tmp_path.iterdir()} == {"docs", "temporary"}
    assert list((tmp_path / "temporary").iterdir()) == []


def test_telemetry_is_off(tmp_path):
    context = new_context(tmp_path)
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
    assert context.config.analytics_enabled is False
    assert context.config.progress_bars.globally is False
    assert context.mode == "ephemeral"


def test_run_name_is_never_a_path(tmp_path):
    folder = tmp_path / "a" / "b"
    validate({"features": (features_suite(), features())}, run_name="../../x/y", docs_folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["features.html", "index.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_second_report_takes_the_place_of_the_first(tmp_path):
    for run_name in ("first", "second"):
        validate(
            {"features": (features_suite(), features())}, run_name=run_name, docs_folder=tmp_path
        )
    assert "second" in Page(tmp_path / "features.html").text
    assert len(list(tmp_path.iterdir())) == 2
