from collections import defaultdict

import pytest

from pipelines.data.editions import edition_table, works_of
from pipelines.data.works import same_works
from tests.unit.data.test_cleaning import books_of

ANN = ["Ann Lee"]


def book(title, authors=ANN, **other):
    return {"title": title, "authors": authors, **other}


def works(*books):
    """The sets of positions that are of one work."""
    groups = defaultdict(set)
    for position, work in enumerate(same_works(books_of(*books)).tolist()):
        groups[work].add(position)
    return sorted(map(sorted, groups.values()))


def are_one(*books):
    return len(works(*books)) == 1


@pytest.mark.parametrize(
    "title",
    [
        "Final Judgment",
        "The Final Judgment (Paperback)",
        "FINAL JUDGMENT: A Novel",
        "The Final Judgement",
    ],
)
def test_editions_of_one_work_are_found(title):
    assert are_one(book("The Final Judgment"), book(title))


@pytest.mark.parametrize("author", ["A. Lee", "Ann B. Lee", "LEE, Ann", "Lee", "Ann Lee Jr."])
def test_an_author_may_be_written_in_several_ways(author):
    assert are_one(book("The Grey Wizard"), book("The Grey Wizard", [author]))


@pytest.mark.parametrize("author", ["Bob Lee", "B. Lee", "Ann Ley", "Ann Lee-Smith"])
def test_the_same_title_by_another_author_is_another_work(author):
    assert not are_one(book("The Grey Wizard"), book("The Grey Wizard", [author]))


def test_who_adapts_a_work_makes_another_one():
    assert not are_one(book("The Grey Wizard"), book("The Grey Wizard", ["Bob Ray", "Ann Lee"]))


@pytest.mark.parametrize("nobody", [[], ["Unknown"], ["Various Authors"], ["Anonymous"]])
def test_books_by_nobody_stay_apart(nobody):
    assert not are_one(book("Poems", nobody), book("Poems", nobody))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Saga, Volume 1", "Saga, Volume 2"),
        ("Saga #1", "Saga #2"),
        ("Saga Part II", "Saga Part III"),
        ("Saga Part II", "Saga"),
        ("Best Tales 2002", "Best Tales 2003"),
        ("Saga (Book 1)", "Saga (Book 2)"),
        ("Best Tales (2002)", "Best Tales (2003)"),
        ("Emma", "Emma (Graphic Novel)"),
        ("Saga: The Tower", "Saga: The Sea"),
        ("Henry IV", "Henry V"),
        ("Saga", "Saga: the Second Part"),
    ],
)
def test_volumes_stay_apart(one, other):
    assert not are_one(book(one), book(other))


def test_a_series_that_differs_keeps_books_apart():
    assert not are_one(book("Magic", series="Wars"), book("Magic", series="Comics"))
    assert are_one(book("Magic", series="Wars"), book("Magic"))
    assert are_one(book("Magic", series="Wars"), book("Magic", series="The Wars, Book 1"))


def test_a_book_called_like_its_series_may_be_any_part_of_it():
    assert not are_one(book("Wars", series="Wars"), book("Wars", series="Wars"))
    assert are_one(book("Wars", series="Wars #1"), book("Wars", series="Wars #1"))


def test_a_subtitle_may_be_left_out():
    assert are_one(book("Fast Food"), book("Fast Food: The Dark Side of a Meal"))


@pytest.mark.parametrize(
    "third",
    [
        book("Saga: The Sea"),  # then "Saga" could be either
        book("The Tower"),  # then "The Tower" is a title
        book("The Hill (Saga, Book 3)"),  # then "Saga" is a series
        book("The Hill", series="Saga"),
    ],
)
def test_a_subtitle_that_tells_parts_of_a_series_apart_is_not_left_out(third):
    assert len(works(book("Saga"), book("Saga: The Tower"), third)) == 3


def test_a_volume_may_be_left_out_where_there_is_one():
    one, two, bare = book("Saga (Book 1)"), book("Saga (Book 2)"), book("Saga")
    assert are_one(one, bare)
    assert works(one, two, bare) == [[0], [1], [2]]
    assert works(one, two, bare, bare) == [[0], [1], [2, 3]]


def test_another_volume_hides_no_edition_of_this_one():
    full, short = book("Saga: The Tower (Book 1)"), book("Saga (Book 1)")
    assert works(full, short, book("Saga: The Tower (Book 2)")) == [[0, 1], [2]]


def test_the_same_isbn_is_the_same_edition_where_titles_agree():
    isbn = {"isbn13": "9780439023481"}
    assert are_one(book("Wizard", ["A"], **isbn), book("The Wizard!", ["B"], **isbn))
    assert not are_one(book("Wizard", **isbn), book("Tales of Tea", **isbn))


def catalogue():
    return books_of(
        book("Grey Wizard", book_id="a", year=1990, genres=["x"]),
        book("Other", book_id="b"),
        book("The Grey Wizard", book_id="c", language="en"),
        book("Grey Wizard: A Novel", book_id="d", year=1980, language="de"),
    )


def ratings(*book_ids):
    return books_of(*({"book_id": i} for i in book_ids))["book_id"]


def test_a_work_goes_by_its_most_rated_edition_and_knows_what_the_others_knew():
    found = works_of(catalogue(), ratings("c", "c", "d", "a", "d", "c"))
    assert found.work_of == {"a": "c", "d": "c"}
    assert found.given_way.tolist() == [True, False, False, True]
    assert found.books["book_id"].to_pylist() == ["b", "c"]
    work = found.books.to_pylist()[1]
    assert (work["title"], work["language"], work["year"]) == ("The Grey Wizard", "en", 1980)
    assert work["genres"] == ["x"]


def test_of_editions_with_as_many_ratings_the_first_id_wins():
    assert works_of(catalogue(), ratings()).work_of == {"c": "a", "d": "a"}


def test_integers_stand_in_their_order():
    books = books_of(book("Emma", book_id="1001"), book("Emma", book_id="2"))
    assert works_of(books, ratings()).work_of == {"1001": "2"}


def test_what_editions_know_together_may_show_another_edition():
    isbn = {"isbn13": "9780439023481"}
    books = books_of(
        book("Emmas", [], book_id="a", **isbn),  # by nobody, until it is one with b
        book("Emma", book_id="b", **isbn),
        book("Emmas", book_id="c"),
    )
    rated = ratings("a", "a", "c", "c", "c", "c")
    assert works_of(books, rated).work_of == {"a": "c", "b": "c"}


def test_the_order_of_rows_changes_nothing():
    rated = ratings("d", "a")
    turned = catalogue().take([3, 1, 0, 2])
    found, other = works_of(catalogue(), rated), works_of(turned, rated)
    assert found.work_of == other.work_of
    assert found.books.sort_by("row").equals(other.books.sort_by("row"))


def test_ids_move_to_the_work():
    found = works_of(catalogue(), ratings("c"))
    assert found.move(ratings("a", "b", "c", "z")).to_pylist() == ["c", "b", "c", "z"]


def test_every_edition_and_spelling_leads_to_a_book_of_the_catalogue():
    found = works_of(catalogue(), ratings("c"))
    became = {"aa": "a", "b": "b", "bb": "b", "hopeless": None, "gone": "x"}
    table = edition_table(found.books, found.work_of, became).to_pydict()
    leads = dict(zip(*table.values(), strict=True))
    assert leads == {"a": "c", "aa": "c", "b": "b", "bb": "b", "c": "c", "d": "c"}


def test_a_known_work_keeps_its_id_however_often_its_editions_are_rated():
    rated = ratings("c", "c", "d")
    found = works_of(catalogue(), rated, {"a": "a"})
    assert found.work_of == {"c": "a", "d": "a"}
    assert found.books["book_id"].to_pylist() == ["a", "b"]


def test_what_was_grouped_before_stays_grouped_whatever_titles_say():
    found = works_of(catalogue(), ratings("b"), {"b": "a", "old": "a", "a": "a"}, anew=False)
    assert found.work_of == {"b": "a", "old": "a"}
    assert found.books["book_id"].to_pylist() == ["a", "c", "d"]
    assert found.given_way.tolist() == [False, True, False, False]


def test_of_two_known_works_that_are_one_the_more_rated_takes_in_the_editions_of_the_other():
    found = works_of(catalogue(), ratings("c"), {"a": "a", "old": "a", "c": "c"})
    assert found.work_of == {"a": "c", "old": "c", "d": "c"}


def test_a_work_that_is_not_listed_has_no_editions():
    assert works_of(catalogue(), ratings("c"), {"b": "gone"}, anew=False).work_of == {}
