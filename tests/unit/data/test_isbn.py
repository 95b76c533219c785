import pytest

from pipelines.data.isbn import (
    is_hopeless,
    is_isbn10,
    is_isbn13,
    isbn10_to_13,
    normalise_isbn,
    restore_zeros,
    spelt_out,
)


@pytest.mark.parametrize("isbn", ["0439023483", "080442957X", "0306406152"])
def test_fitting_check_digit_makes_an_isbn10(isbn):
    assert is_isbn10(isbn)


@pytest.mark.parametrize(
    "text", ["0439023484", "043902348X", "439023483", "0000000000", "X439023483"]
)
def test_anything_else_is_no_isbn10(text):
    assert not is_isbn10(text)


def test_isbn13_needs_the_book_prefix_and_a_fitting_check_digit():
    assert is_isbn13("9780306406157")
    assert not is_isbn13("9780306406158")
    assert not is_isbn13("4006381333931")  # a valid EAN of something else


def test_isbn10_becomes_the_isbn13_of_the_same_book():
    assert isbn10_to_13("0306406152") == "9780306406157"


def test_zeros_are_restored_only_where_the_checksum_then_holds():
    assert restore_zeros("439023483") == "0439023483"
    assert restore_zeros("439023484") is None
    assert restore_zeros("0") is None
    assert restore_zeros("19") is None  # fits, but so does every eleventh number


@pytest.mark.parametrize(
    "text",
    [
        "9780439023481",
        "978-0-439-02348-1",
        "ISBN 978-0-439-02348-1",
        "ISBN-13: 9780439023481",
        "0439023483",
        "439023483",
        "439023483.0",
        ' ="439023483"',
    ],
)
def test_every_spelling_gives_the_same_isbn13(text):
    assert normalise_isbn(text) == "9780439023481"


@pytest.mark.parametrize("text", ["", "abc", "9.78043902348e+12", "B000FA64PK", "1", "٠٤٣٩٠٢٣٤٨٣"])
def test_what_is_no_isbn_gives_none(text):
    assert normalise_isbn(text) is None


def test_small_x_is_a_check_digit():
    assert normalise_isbn("080442957x") == "9780804429573"


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("439023483", "0439023483"),
        ("080442957x", "080442957X"),
        ("978-0-439-02348-1", "9780439023481"),
        ("439023484", None),
    ],
)
def test_spelling_keeps_the_number_of_digits(text, spelt):
    assert spelt_out(text) == spelt


@pytest.mark.parametrize("text", ["9,78292E+12", "9.78e+12", "9E+12", "9,7E12", "", "00X", "no"])
def test_a_rounded_number_or_no_digit_is_hopeless(text):
    assert is_hopeless(text)


@pytest.mark.parametrize("text", ["12E34", "B0000BJMMZ", "1", "3.406420974", "698.119116"])
def test_anything_else_with_digits_may_tell_a_book(text):
    assert not is_hopeless(text)
