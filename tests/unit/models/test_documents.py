import numpy as np
import pytest

from pipelines.models import documents
from pipelines.models.documents import (
    FieldWeights,
    book_texts,
    document_matrix,
    name,
    names,
    words,
)
from tests.factories import books_frame, wordless_books


def test_words_are_lower_case_and_of_two_letters():
    assert words("The Grey-Wizard: a tale of Čapek 42") == [
        "the", "grey", "wizard", "tale", "of", "čapek", "42"
    ]  # fmt: skip


def test_name_is_one_token_however_it_is_spelt():
    assert name("J.K. Tolling") == name("JK  Tolling") == ["jk tolling"]


@pytest.mark.parametrize("missing", [None, float("nan"), "", " ", "..."])
def test_missing_text_has_no_tokens(missing):
    assert name(missing) == []
    assert words(missing) == []


@pytest.mark.parametrize("missing", [None, float("nan"), [], np.array([])])
def test_missing_list_has_no_tokens(missing):
    assert names(missing) == []


def test_names_come_from_any_sequence():
    assert names(np.array(["Mia Sato", None, "Ida Noor"], dtype=object)) == ["mia sato", "ida noor"]


def test_inner_product_is_the_weighted_sum_of_cosines():
    only_authors = FieldWeights(title=0, series=0, genres=0, description=0, authors=3)
    matrix = document_matrix(books_frame(), only_authors, 100).toarray()
    assert matrix[7] @ matrix[8] == pytest.approx(9)
    assert matrix[0] @ matrix[8] == 0


def test_number_of_words_is_bounded_by_field():
    assert document_matrix(books_frame(), FieldWeights(), 3).shape == (12, 15)


def test_books_without_text_have_empty_rows():
    assert document_matrix(wordless_books(), FieldWeights(), 100).nnz == 0


def test_all_fields_at_weight_zero_leave_empty_rows():
    silent = FieldWeights(title=0, authors=0, series=0, genres=0, description=0)
    assert document_matrix(books_frame(), silent, 100).nnz == 0


def test_a_field_that_did_not_change_is_not_read_again(tmp_path, monkeypatch):
    books = books_frame()
    fresh = document_matrix(books, FieldWeights(), 100, tmp_path).toarray()
    changed = books.assign(description=["another story", *books["description"][1:]])
    expected = document_matrix(changed, FieldWeights(), 100).toarray()

    read = []
    make = documents._field_block
    monkeypatch.setattr(
        documents,
        "_field_block",
        lambda column, *rest: read.append(column.name) or make(column, *rest),
    )
    assert (document_matrix(books, FieldWeights(title=9), 100, tmp_path).shape) == fresh.shape
    assert read == []
    assert (document_matrix(changed, FieldWeights(), 100, tmp_path).toarray() == expected).all()
    assert read == ["description"]


def test_a_name_is_not_taken_for_a_list_of_names(tmp_path):
    only_authors = FieldWeights(title=0, series=0, genres=0, description=0, authors=1)
    books = books_frame()
    for authors in (["Mia Sato"], ["Mia", "Sato"], []):
        books["authors"] = [authors] * len(books)
        cached = document_matrix(books, only_authors, 100, tmp_path)
        assert (cached != document_matrix(books, only_authors, 100)).nnz == 0


def test_text_of_a_book_names_it_first():
    assert book_texts(books_frame())[10:] == [
        "Letters Home. Mia Sato, Ida Noor. romance. Letters cross a war.",
        "Harvest Moon. Ana Brandt. romance. Two farms, one harvest, one war.",
    ]


def test_text_of_a_book_of_which_nothing_is_written_is_empty():
    books = wordless_books(4)
    books["title"] = [None, float("nan"), " ", "?! _"]
    books["genres"] = [None, float("nan"), np.array([]), [None]]
    assert book_texts(books) == [""] * 4
