import pyarrow as pa
import pytest

from pipelines.data.book_ids import BookIds


def became(found, catalogue=()):
    return BookIds.of(
        pa.chunked_array([list(catalogue)], pa.string()), pa.chunked_array([[found]])
    ).became[found]


@pytest.mark.parametrize(
    "found",
    [
        "0439023483",
        "439023483",
        "9780439023481",
        "978-0-439-02348-1",
        '="0439023483"',
        "439023483.0",
    ],
)
@pytest.mark.parametrize("listed", ["0439023483", "9780439023481", "978-0-439-02348-1"])
def test_every_spelling_goes_by_that_of_the_catalogue(found, listed):
    assert became(found, [listed]) == listed


def test_a_spelling_that_a_spreadsheet_damaged_is_repaired_in_the_catalogue_too():
    assert became("0439023483", ["439023483"]) == "0439023483"
    assert became("439023483", ["439023483"]) == "0439023483"


def test_of_two_spellings_in_the_catalogue_the_last_counts():
    assert became("439023483", ["9780439023481", "0439023483"]) == "0439023483"
    assert became("439023483", ["0439023483", "9780439023481"]) == "9780439023481"


def test_a_book_that_the_catalogue_lacks_is_spelt_as_found_with_ten_digits_first():
    both = pa.chunked_array([["9780439023481", "439023483"]])
    assert set(BookIds.of(None, both).became.values()) == {"0439023483"}
    assert became("9780439023481") == "9780439023481"


@pytest.mark.parametrize("found", ["9,78292E+12", "9.78E+12", "7E+11", "0", "0000000000", "NOVEL"])
def test_what_no_book_can_be_told_from_is_hopeless(found):
    ids = BookIds.of(None, pa.chunked_array([[found]]))
    assert ids.became == {found: None}
    assert ids.unify(pa.chunked_array([[found, found]])).hopeless.tolist() == [True, True]


@pytest.mark.parametrize(
    "found", ["B0000BLD7X", "B0000BJMMZ", "439023484", "3423100424", "10756/85"]
)
def test_what_is_no_isbn_but_tells_a_book_stays(found):
    ids = BookIds.of(None, pa.chunked_array([[found]]))
    assert ids.became == {found: found}
    assert ids.counted(pa.chunked_array([[found]])) == {"isbn_unverified": 1}


def test_cells_are_counted_by_rule():
    column = pa.chunked_array([["439023483", "439023483", "080442957x"], ["0306406152", "B1"]])
    ids = BookIds.of(None, column)
    assert ids.unify(column).column.to_pylist() == [
        "0439023483", "0439023483", "080442957X", "0306406152", "B1",
    ]  # fmt: skip
    assert {rule: n for rule, n in ids.counted(column).items() if rule} == {
        "isbn_zeros_restored": 2,
        "isbn_unified": 1,
        "isbn_unverified": 1,
    }
