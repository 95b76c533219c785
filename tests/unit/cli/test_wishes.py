"""Options of the command line, asked of the twelve books."""

import json
import sys
from collections.abc import Callable
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import structlog

from pipelines.cli import main, models
from pipelines.cli.wishes import reranking
from pipelines.errors import ConfigurationError
from tests.factories import N_BOOKS, bundle

Ask = Callable[..., list[int]]


@pytest.fixture
def run(monkeypatch, capsys) -> Callable[..., str]:
    """Run a command on a small model and give what it printed, or the line that it ended with."""
    served = bundle()
    served.hybrid.parts.pop("content")
    served.hybrid.thresholds_ = np.full(N_BOOKS, 0.5, np.float32)

    @contextmanager
    def opened(_: str):
        yield served, SimpleNamespace(version=3)

    monkeypatch.setattr(models, "_opened", opened)
    monkeypatch.setenv("COLUMNS", "200")

    def ask(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["bookrec", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or capsys.readouterr().out

    yield ask
    structlog.reset_defaults()


@pytest.fixture
def recommend(run) -> Ask:
    def ask(*arguments: object) -> list[int]:
        items = json.loads(run("recommend", *arguments, "--json"))["items"]
        return [item["book_id"] for item in items]

    return ask


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--genre", "Crime", "--genre", "romance"], [90, 100, 110, 120]),
        (["--author", "mia sato"], [70, 110]),
        (["--language", "English", "--to-year", 1994], [30, 50]),
        (["--from-year", 1999, "--exclude", 110, "--exclude", "x"], [100, 120]),
        (["--min-rating", 4], []),
        (["--genre", "crime", "--include-seen"], [80, 90, 100]),
    ],
)
def test_only_books_that_fit_are_listed(recommend, options, expected):
    assert sorted(recommend("--user", "ann", *options)) == expected


def test_knobs_reach_the_list(run, recommend):
    def best(*options: object) -> float:
        answer = json.loads(run("recommend", "--liked", 30, *options, "--json"))
        return answer["items"][0]["score"]

    assert best("--popularity-damping", 1) < best("--popularity-damping", 0.5) < best()
    varied = recommend("--user", "nobody", "-n", 3, "--diversity", 1)
    assert varied != recommend("--user", "nobody", "-n", 3)


def test_books_for_somebody_unknown(run, recommend):
    liked = ["--liked", 10, "--liked", 20, "--liked", 40]
    assert recommend(*liked, "-n", 1) == [30]
    assert "For whom likes these books, from version 3 (model)" in run("recommend", *liked)


def test_an_empty_list_says_so(run):
    said = run("recommend", "--user", "ann", "--genre", "unheard of")
    assert said == "For reader ann: no book fits (asked version 3).\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "say whom the books are for: give either --user or --liked"),
        (["--user", "ann", "--liked", "10"], "give either --user or --liked"),
        (
            ["--user", "ann", "--from-year", "2000", "--to-year", "1999"],
            "--from-year 2000 is after",
        ),
        (["--user", "ann", "--from-year", "20000"], "--from-year: Input should be less than"),
        (["--user", "ann", "--diversity", "nan"], "--diversity: Input should be"),
        (["--user", "ann", "--diversity", "1.5"], "--diversity: Input should be less than"),
        (["--user", "ann", "--popularity-damping", "-1"], "--popularity-damping: Input should"),
        (["--user", "ann", "--min-rating", "inf"], "--min-rating: Input should be a finite"),
        (["--user", "ann", "--genre", "x" * 201], "--genre: String should have at most 200"),
    ],
)
def test_options_that_make_no_sense_are_one_clear_line(run, arguments, expected):
    said = run("recommend", *arguments)
    assert said.startswith("bookrec: ")
    assert expected in said
    assert "\n" not in said


def test_several_wrong_options_are_named_together():
    wrong = {"diversity": 2, "popularity_damping": -1}
    with pytest.raises(ConfigurationError, match=r"--diversity: .*; --popularity-damping: "):
        reranking(filters={}, **wrong)


def test_search_without_a_model_for_texts_says_what_to_do(run):
    assert run("search", "a war") == (
        "bookrec: this version has no model that searches texts: "
        "run the pipeline with `content` among BOOKREC_MODELS"
    )
