import numpy as np
import pytest

from pipelines.models.search.lexical_index import LexicalIndex, search_words
from tests.factories import books_frame, wordless_books


@pytest.fixture(scope="module", params=["built", "mapped"])
def index(request, tmp_path_factory):
    built = LexicalIndex.build(books_frame(), 100)
    if request.param == "built":
        return built
    folder = tmp_path_factory.mktemp("lexical") / "index"
    built.save(folder)
    return LexicalIndex.load(folder)


def best(index, query, n=1):
    scores = index.scores(query)
    return np.argsort(-scores, kind="stable")[: min(n, (scores > 0).sum())].tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Grey-Wizard: a tale", ["the", "grey", "wizard", "a", "tale"]),
        ("GARCÍA Márquez", ["garcia", "marquez"]),
        ("J.K. Tolling", ["jk", "tolling"]),
        ("J. K. Tolling", ["jk", "tolling"]),
        ("JK Tolling", ["jk", "tolling"]),
        ("the Baker\u2019s wizards", ["the", "baker", "wizard"]),
        ("Straße ﬁn", ["strasse", "fin"]),
        ("書店 книга", ["書店", "книга"]),
        ("1984", ["1984"]),
        ("!!! … _", []),
        ("", []),
    ],
)
def test_words_are_compared_without_their_dress(text, words):
    assert search_words(text) == words


@pytest.mark.parametrize("num", range(12))
def test_every_title_finds_its_book_first(index, num):
    assert best(index, books_frame()["title"][num]) == [num]


@pytest.mark.parametrize(
    ("query", "books"),
    [
        ("ana brandt", {3, 11}),
        ("BRANDT, Ana", {3, 11}),
        ("jk tolling", {0, 1, 2}),
        ("inspector bell", {7, 8}),
        ("romance", {10, 11}),
        ("science fiction", {4, 5, 6}),
    ],
)
def test_names_find_all_their_books(index, query, books):
    assert set(best(index, query, len(books))) == books


@pytest.mark.parametrize(
    ("query", "book"),
    [("dragn weathr", 3), ("Orbti of Irno", 4), ("bakers alibbi", 9), ("harvset moon", 11)],
)
def test_misspelt_titles_are_found(index, query, book):
    assert best(index, query) == [book]


@pytest.mark.parametrize("query", ["", "   ", "?!", "xqzt blorfgh", "\x00", "\ud800"])
def test_what_nobody_wrote_finds_nothing(index, query):
    assert not index.scores(query).any()


def titled(*titles, **fields):
    books = books_frame().iloc[: len(titles)].reset_index(drop=True)
    for field, values in {"title": titles, **fields}.items():
        books[field] = list(values)
    return LexicalIndex.build(books, 100)


def test_title_that_is_asked_for_comes_before_titles_that_hold_it():
    assert best(titled("Pride and Zombies", "Pride", "Pride and War"), "pride") == [1]


def test_whole_names_count_more_than_their_words():
    authors = [["Jo Gray"], ["Ana Brandt", "Ida Noor"], ["Jo Gray"]]
    index = titled("Brandt Ana", "Harvest", "Ana", authors=authors)
    assert best(index, "ana brandt") == [1]


def test_series_that_is_named_as_its_title_counts_once():
    titles = ["Sense Pride Prejudice Zombies", "Prejudice Pride Sense", "Noon", "Dusk", "Sea"]
    series = [titles[0], *[None] * 4]
    assert best(titled(*titles, series=series), "sense pride prejudice") == [1]


def test_books_without_text_are_never_found():
    index = LexicalIndex.build(wordless_books(), 100)
    assert not index.scores("anything at all").any()


def test_rare_words_of_descriptions_alone_are_left_out():
    books = books_frame()
    assert best(LexicalIndex.build(books, 1), "miners") == []
    assert best(LexicalIndex.build(books, 1), "alibi") == [9]
    assert best(LexicalIndex.build(books, 100), "miners") == [4]


def test_a_query_of_a_million_characters_is_answered(index):
    assert best(index, "dragon weather " * 70_000) == [3]
