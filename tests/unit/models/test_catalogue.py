import numpy as np
import pyarrow as pa
import pytest

from pipelines.errors import ArtifactError
from pipelines.models.catalogue import Catalogue, NameIndex, folded, load_table
from tests.factories import catalogue


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Science Fiction", "science-fiction"),
        ("J.K. Rowling", "J. K. ROWLING"),
        ("Émile Zola", "emile zola"),
        ("Jo Nesbø", "Jo Nesbo"),
        ("Stanisław Lem", "stanislaw lem"),
        ("Ελένη", "ελενη"),
        ("Straße", "STRASSE"),
        ("İstanbul", "istanbul"),
    ],
)
def test_names_that_are_the_same_to_people(one, other):
    assert folded(one) == folded(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("कि", "का"), ("C++", "C"), ("fiction", "non-fiction"), ("漢字", "漢")]
)
def test_names_that_are_not(one, other):
    assert folded(one) != folded(other)


def books_of(column: pa.Array, *names: str) -> list[int]:
    return sorted(NameIndex.of(pa.chunked_array([column])).books(names).tolist())


def test_a_book_is_found_by_any_of_its_names():
    column = pa.array([["Crime", "Poetry"], None, [], ["poetry", None], ["crime"]])
    assert books_of(column, "POETRY") == [0, 3]
    assert books_of(column, "poetry", "crime", "nonsense") == [0, 0, 3, 4]
    assert books_of(column, "nonsense") == books_of(column) == books_of(column, "") == []


def test_names_of_nothing_but_punctuation_are_no_names():
    assert books_of(pa.array([["?"], ["!"]]), "?") == []


@pytest.mark.parametrize(
    "column",
    [
        pa.nulls(3),
        pa.nulls(3, pa.list_(pa.string())),
        pa.nulls(3, pa.string()),
        pa.array([[], [], []], pa.list_(pa.string())),
    ],
)
def test_a_column_without_names_has_no_books(column):
    assert books_of(column, "x") == []


def test_numbers_are_nan_where_nothing_is_known():
    table = catalogue()
    facts = Catalogue(table)
    assert np.isnan(facts.mean_ratings).all()
    assert facts.years[:2].tolist() == [1990, 1991]
    column = pa.array([4.5, None, *[3.0] * 10])
    rated = Catalogue(table.append_column("mean_rating", column))
    assert rated.mean_ratings[0] == 4.5
    assert np.isnan(rated.mean_ratings[1])


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "catalogue.arrow").write_bytes(b"no table")
    with pytest.raises(ArtifactError, match="is no catalogue"):
        load_table(tmp_path / "catalogue.arrow")
