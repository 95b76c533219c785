import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from pipelines.data.cleaning import clean_books
from pipelines.data.schemas import BOOKS, RAW_RATINGS
from pipelines.data.sources.goodbooks import split_titles
from pipelines.data.works import same_works
from pipelines.errors import SourceError
from tests.sources import read_all
from tests.unit.data.test_cleaning import books_of

HEADER = (
    "book_id,goodreads_book_id,isbn,isbn13,authors,original_publication_year,"
    "original_title,title,language_code\n"
)
BOOK_ROWS = (
    "1,2767052,439023483,9.78043902348e+12,Suzanne Collins,2008.0,The Hunger Games,"
    '"The Hunger Games (The Hunger Games, #1)",eng\n'
    '2,1381,143039954,9.78014303995e+12,"Homer, Robert Fagles",-720.0,,The Odyssey,en-US\n'
)


@pytest.fixture
def release(tmp_path):
    (tmp_path / "ratings.csv").write_text("user_id,book_id,rating\n1,2,5\n1,1,4\n")
    (tmp_path / "books.csv").write_text(HEADER + BOOK_ROWS)
    return tmp_path


def read_books(folder):
    tables = read_all("goodbooks-10k", folder)
    assert tables.books.schema == BOOKS
    return clean_books(tables.books).table.to_pylist()


def test_release_is_read_in_row_order_on_its_scale(release):
    tables = read_all("goodbooks-10k", release)
    assert tables.ratings.schema == RAW_RATINGS
    assert tables.ratings["book_id"].to_pylist() == ["2", "1"]
    assert (tables.source.order, tables.source.rating_scale) == ("row", (1.0, 5.0))
    assert [f.name for f in tables.source.files] == ["ratings.csv", "books.csv"]


def test_traps_of_the_books_file_are_known(release):
    hunger, odyssey = read_books(release)
    assert (hunger["title"], hunger["series"]) == ("The Hunger Games", "The Hunger Games")
    assert (hunger["isbn13"], hunger["language"]) == ("9780439023481", "en")
    assert (odyssey["year"], odyssey["authors"]) == (-720, ["Homer", "Robert Fagles"])
    assert (odyssey["language"], odyssey["series"]) == ("en", None)


@pytest.mark.parametrize(
    ("found", "title", "series"),
    [
        ("Angels & Demons  (Robert Langdon, #1)", "Angels & Demons", "Robert Langdon"),
        ("Thud! (Discworld, #34; City Watch #7)", "Thud!", "Discworld"),
        ("The Fifth Dominion (Imajica Part #1/2)", "The Fifth Dominion", "Imajica Part"),
        ("Beyond Exile (Day by Day,# 2)", "Beyond Exile", "Day by Day"),
        ("Homer Price (A Puffin Book)", "Homer Price (A Puffin Book)", None),
        ("(#1)", "(#1)", None),
        (None, None, None),
    ],
)
def test_series_is_taken_out_of_the_title(found, title, series):
    assert split_titles([found, found]) == [(title, series)] * 2


def test_parts_that_are_called_the_same_keep_their_places():
    found = ["Airbender (Promise, #1)", "Airbender (Promise, #2)", "Airbender (Search, #1)"]
    assert split_titles(found) == [
        ("Airbender (#1)", "Promise"),
        ("Airbender (#2)", "Promise"),
        ("Airbender", "Search"),
    ]
    order = split_titles(["Order (Potter, #5)", "Order (Potter, #5, Part 1)"])
    books = books_of(*({"title": t, "series": s, "authors": ["Ann"]} for t, s in order))
    assert len(set(same_works(books).tolist())) == 2


def test_genres_come_from_the_most_counted_tags_without_shelf_words(release):
    (release / "tags.csv").write_text(
        "tag_id,tag_name\n1,to-read\n2,dystopia\n3,fiction\n4,read-in-2015\n5,kindle\n"
    )
    (release / "book_tags.csv").write_text(
        "goodreads_book_id,tag_id,count\n"
        "2767052,1,900\n2767052,2,30\n2767052,3,40\n2767052,4,50\n2767052,5,60\n1381,3,-1\n"
    )
    hunger, odyssey = read_books(release)
    assert hunger["genres"] == ["fiction", "dystopia"]
    assert odyssey["genres"] == []


def test_a_book_keeps_25_tags(release):
    tags = "".join(f"{i},tag{i:02}x\n" for i in range(40))
    counts = "".join(f"1381,{i},{100 - i}\n" for i in range(40))
    (release / "tags.csv").write_text("tag_id,tag_name\n" + tags)
    (release / "book_tags.csv").write_text("goodreads_book_id,tag_id,count\n" + counts)
    assert read_books(release)[1]["genres"] == [f"tag{i:02}x" for i in range(25)]


def test_genres_come_from_the_cleaned_list_where_there_are_no_tags(release):
    (release / "book_genres.csv").write_text('book_id,genres\n1,"teen,dystopia"\n')
    assert read_books(release)[0]["genres"] == ["teen", "dystopia"]


def test_descriptions_lose_stray_quotes_whatever_their_column_is_called(release):
    frame = pd.DataFrame({"book_id": [2], "some_text": ['"A long way home.']})
    pyarrow.feather.write_feather(pa.Table.from_pandas(frame), release / "descriptions.feather")
    hunger, odyssey = read_books(release)
    assert (hunger["description"], odyssey["description"]) == (None, "A long way home.")


def test_damaged_descriptions_give_one_clear_error(release):
    (release / "descriptions.feather").write_bytes(b"FEA1 not really")
    with pytest.raises(SourceError, match=r"descriptions\.feather"):
        read_all("goodbooks-10k", release)


@pytest.mark.parametrize("name", ["ratings.csv", "books.csv"])
def test_missing_file_names_the_command_that_fetches_it(release, name):
    (release / name).unlink()
    with pytest.raises(SourceError, match=rf"{name}.*bookrec data download goodbooks-10k"):
        read_all("goodbooks-10k", release)


def test_books_without_titles_column_are_refused(release):
    (release / "books.csv").write_text("book_id,isbn\n1,2\n")
    with pytest.raises(SourceError, match="title"):
        read_all("goodbooks-10k", release)


def test_first_edition_of_the_release_is_understood(release):
    (release / "books.csv").write_text(
        (HEADER + BOOK_ROWS).replace("book_id,goodreads_book_id", "id,book_id")
    )
    assert [b["book_id"] for b in read_books(release)] == ["1", "2"]


def test_title_falls_back_to_the_original_one(release):
    (release / "books.csv").write_text(HEADER + "1,9,,,A,2000.0,Der Titel,,ger\n")
    assert read_books(release)[0]["title"] == "Der Titel"


def test_goodbooks_needs_a_path():
    with pytest.raises(SourceError, match="needs a path"):
        read_all("goodbooks-10k", None)
