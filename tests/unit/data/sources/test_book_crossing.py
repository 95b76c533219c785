"""Book-Crossing in the forms it is handed on: the same tables come out of all of them."""

import csv
import gzip
import io

import pytest

from pipelines.errors import SourceError
from tests.sources import read_all

USERS = [
    ["User-ID", "Location", "Age"],
    ["1", "nyc, new york, usa", "NULL"],
    ["2", 'århus, "n/a", denmark', "18"],
]
URLS = [f"http://images.amazon.com/images/P/{size}.jpg" for size in "SML"]
BOOKS = [
    [
        "ISBN",
        "Book-Title",
        "Book-Author",
        "Year-Of-Publication",
        "Publisher",
        "Image-URL-S",
        "Image-URL-M",
        "Image-URL-L",
    ],
    ["0195153448", "Classical Mythology", "Mark P. O. Morford", "2002", "Oxford", *URLS],
    ["034544003X", "Rows &amp; Columns; a novel", "J. Müller", "0", "Simon &amp; Sons", *URLS],
    ["0671706241", 'The Real "J. P." Story', "John Peterman", "1984", "Crown", *URLS],
]
RATINGS = [
    ["User-ID", "ISBN", "Book-Rating"],
    ["1", "034544003X", "0"],
    ["2", "0155061224", "5"],
    ["2", "B0000BLD7X", "10"],
]


def original(table):
    """As published: quotes everywhere, escaped by backslashes."""
    quoted = [['"' + v.replace('"', r"\"") + '"' for v in row] for row in table]
    text = "".join(";".join(row) + "\r\n" for row in quoted).replace('"NULL"', "NULL")
    return text.encode("latin-1")


def edited(table):
    """As handed on by a later edition: commas, quotes where they are needed, UTF-8 with a mark."""
    text = io.StringIO()
    csv.writer(text).writerows(table)
    return text.getvalue().encode("utf-8-sig")


def unquoted(table):
    """Written by someone who thought that no value would hold a semicolon; columns numbered."""
    header = [str(at) for at in range(len(table[0]))]
    return "".join(";".join(row) + "\n" for row in [header, *table[1:]]).encode("latin-1")


def blank_lines_and_tabs(table):
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\r").writerows(table)
    return text.getvalue().replace("\r", "\r\r\t\t\r").encode()


NAMES = ("BX-Users.csv", "BX-Books.csv", "BX-Book-Ratings.csv")
FORMS = [
    (original, NAMES),
    (edited, ("Users.csv", "Books.csv", "Ratings.csv")),
    (unquoted, ("bx_users.csv", "bx_books.csv", "bx_book_ratings.csv")),
    (blank_lines_and_tabs, ("users.tsv", "books.tsv", "book-ratings.tsv")),
]


@pytest.fixture
def folder(tmp_path):
    def write(form, names, *, zipped=False):
        for name, table in zip(names, (USERS, BOOKS, RATINGS), strict=True):
            data = form(table)
            path = tmp_path / (f"{name}.gz" if zipped else name)
            path.write_bytes(gzip.compress(data) if zipped else data)
        return tmp_path

    return write


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("form", "names"), FORMS)
def test_every_form_gives_the_same_tables(folder, form, names, zipped):
    found = read_all("book-crossing", folder(form, names, zipped=zipped))
    assert found.rejected.to_pylist() == []
    assert [(r["user_id"], r["book_id"], r["rating"]) for r in found.ratings.to_pylist()] == [
        ("1", "034544003X", None),
        ("2", "0155061224", 5.0),
        ("2", "B0000BLD7X", 10.0),
    ]
    about = ("book_id", "isbn13", "title", "authors", "year")
    assert [[b[name] for name in about] for b in found.books.to_pylist()] == [
        [row[0], row[0], row[1], [row[2]], int(row[3])] for row in BOOKS[1:]
    ]
    readers = [(r["user_id"], r["location"], r["age"]) for r in found.readers.to_pylist()]
    assert readers == [("1", USERS[1][1], None), ("2", USERS[2][1], 18)]


def test_what_cleaning_has_to_know_is_told(folder):
    source = read_all("book-crossing", folder(*FORMS[0])).source
    assert (source.book_ids, source.catalogue_is_complete) == ("isbn", False)
    assert (source.rating_scale, source.order) == ((1.0, 10.0), "none")


def test_ratings_file_is_enough(folder):
    found = read_all("book-crossing", folder(*FORMS[0]) / "BX-Book-Ratings.csv")
    assert len(found.ratings) == 3
    assert (found.books, found.readers) == (None, None)


def test_mangled_ratings_lose_quotes_and_empty_lines(tmp_path):
    path = tmp_path / "ratings.csv"
    rows = "".join(f'{user},"""{isbn}""",{rating}\r' for user, isbn, rating in RATINGS[1:])
    empty = ",,\r" * 5000
    path.write_bytes(f"User-ID,ISBN,Book-Rating\r{rows}{empty},AND\r,,\r".encode())
    found = read_all("book-crossing", path)
    assert found.ratings["book_id"].to_pylist() == [row[1] for row in RATINGS[1:]]
    assert found.rejected.to_pylist() == [
        {"dataset": "ratings", "row": 4, "rule": "wrong_field_count", "original": ",AND"}
    ]


@pytest.fixture
def book(tmp_path):
    def read_one(line):
        (tmp_path / "ratings.csv").write_bytes(unquoted(RATINGS))
        (tmp_path / "books.csv").write_bytes(unquoted(BOOKS[:2]) + line.encode("latin-1") + b"\n")
        found = read_all("book-crossing", tmp_path)
        _, *books = found.books.to_pylist()
        kept = [(b["title"], b["authors"][0], b["year"]) for b in books]
        return kept, found.repairs, [(r["rule"], r["original"]) for r in found.rejected.to_pylist()]

    return read_one


IMAGES = ";".join(URLS)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (f"0140430822;Moby-Dick;: Or; the whale;H. Melville;1972;Penguin;{IMAGES}",
         ("Moby-Dick;: Or; the whale", "H. Melville", 1972)),
        (f"0446606189;Cat &amp; Mouse;J. Patterson;1998;Warner;{IMAGES}",
         ("Cat &amp; Mouse", "J. Patterson", 1998)),
        (f"0446606189;Cat;J. Patterson;1998;Simon; Schuster; Inc;{IMAGES}",
         ("Cat", "J. Patterson", 1998)),
        (f'078946697X;DK Readers\\";Michael Teitelbaum;2000;DK;{IMAGES}',
         ('DK Readers"', "Michael Teitelbaum", 2000)),
    ],
)  # fmt: skip
def test_delimiters_inside_of_a_value_are_given_back_to_it(book, line, kept):
    assert book(line)[0][0][1:] == kept[1:]
    assert book(line)[0][0][0].strip('\\"') == kept[0].strip('\\"')
    assert book(line)[2] == []


@pytest.mark.parametrize(
    "line",
    [
        f"0140430822;A;B;1984;1972;Penguin;Books;{IMAGES}",  # which of the two is the year?
        f"not an isbn;A;B;C;1972;Penguin;{IMAGES}",
        "0140430822;A;B",
    ],
)
def test_row_in_doubt_is_set_aside_as_found(book, line):
    assert book(line) == ([], {}, [("wrong_field_count", line)])


def test_repairs_are_counted_by_name(book):
    line = f"0446606189;Cat &amp; Mouse;J. Patterson;1998;Warner;{IMAGES}"
    assert book(line)[1] == {"surplus_delimiters": 1}


def test_title_that_took_the_author_along_is_parted(tmp_path):
    shifted = ["078946697X", 'DK Readers\\";Michael Teitelbaum', "2000", "DK", *URLS, ""]
    (tmp_path / "Ratings.csv").write_bytes(edited(RATINGS))
    (tmp_path / "Books.csv").write_bytes(edited([*BOOKS, shifted]))
    found = read_all("book-crossing", tmp_path)
    last = found.books.to_pylist()[-1]
    assert (last["title"], last["authors"], last["year"]) == (
        "DK Readers", ["Michael Teitelbaum"], 2000,
    )  # fmt: skip
    assert found.repairs == {"title_with_author": 1}


def test_quotes_that_were_read_by_other_rules_are_restored(book):
    kept, repairs, _ = book(f'0671706241;A Child Called \\It\\": Courage";D;1995;HCI;{IMAGES}')
    assert (kept[0][0], repairs) == ('A Child Called "It": Courage', {"escaped_quotes": 1})


def test_location_with_delimiters_stays_one(tmp_path):
    (tmp_path / "Ratings.csv").write_bytes(edited(RATINGS))
    (tmp_path / "Users.csv").write_text(
        "User-ID,Location,Age\n1,nyc, new york, usa,NULL\nx,y,z,9\n"
    )
    found = read_all("book-crossing", tmp_path)
    assert found.readers["location"].to_pylist() == ["nyc, new york, usa"]
    assert found.rejected["original"].to_pylist() == ["x,y,z,9"]


@pytest.mark.parametrize("names", [["books.csv"], ["ratings.csv", "BX-Book-Ratings.csv.gz"]])
def test_folder_without_ratings_or_with_two_of_them_is_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(edited(RATINGS))
    with pytest.raises(SourceError, match=r"holds (no|ratings\.csv and|BX-.*and)"):
        read_all("book-crossing", tmp_path)


def test_a_path_is_needed():
    with pytest.raises(SourceError, match="needs a path"):
        read_all("book-crossing", None)
