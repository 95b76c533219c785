import numpy as np
import pandas as pd
import pytest

from pipelines.data.schemas import BOOKS, RAW_RATINGS
from pipelines.data.sources.sample import LABEL, read_catalogue, read_sample, simulate_readers


@pytest.fixture(scope="module")
def tables():
    return read_sample()


@pytest.fixture(scope="module")
def ratings(tables):
    return tables[0].to_pandas()


@pytest.fixture(scope="module")
def books(tables):
    return tables[1].to_pandas()


@pytest.fixture(scope="module")
def catalogue():
    return read_catalogue()


@pytest.fixture(scope="module")
def rated(ratings, books):
    """Ratings with what is known of the book, and its first genre as `genre`."""
    about = books.assign(genre=books["genres"].str[0])[["book_id", "series", "genre"]]
    return ratings.merge(about, on="book_id")


def test_tables_have_the_schemas_of_every_source(tables):
    assert [table.schema for table in tables] == [RAW_RATINGS, BOOKS]
    assert [table.schema.metadata for table in tables] == [None, None]


def test_sample_has_the_promised_size(ratings, books):
    assert len(books) >= 300
    assert 1_900 <= ratings["user_id"].nunique() <= 2_100
    assert 55_000 <= len(ratings) <= 65_000


def test_rows_are_numbered_from_one(ratings, books):
    for table in (ratings, books):
        assert table["row"].tolist() == list(range(1, len(table) + 1))


def test_label_says_that_readers_are_simulated():
    assert "simulated" in LABEL


def test_same_seed_gives_the_same_sample(tables):
    assert all(a.equals(b) for a, b in zip(read_sample(), tables, strict=True))


def test_other_seed_gives_other_readers_of_the_same_books(tables):
    other_ratings, other_books = read_sample(seed=8)

    assert not other_ratings.equals(tables[0])
    assert other_books.equals(tables[1])


def test_no_reader_rates_a_book_twice(ratings):
    assert not ratings.duplicated(["user_id", "book_id"]).any()


def test_no_two_books_share_an_id(books):
    assert books["book_id"].is_unique


def test_rated_books_are_in_the_catalogue(ratings, books):
    assert set(ratings["book_id"]) <= set(books["book_id"])


def test_ratings_are_whole_stars_that_use_the_whole_scale(ratings):
    assert set(ratings["rating"]) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_readers_differ_in_activity_within_bounds(ratings):
    counts = ratings.groupby("user_id").size()

    assert (counts.min(), counts.max()) == (5, 120)
    assert counts.quantile(0.75) > 2 * counts.quantile(0.25)


def test_ratings_stand_in_the_order_of_time_over_about_three_years(ratings):
    rated_at = ratings["rated_at"]

    assert rated_at.is_monotonic_increasing
    assert str(rated_at.dt.tz) == "UTC"
    assert 2.5 < (rated_at.max() - rated_at.min()).days / 365 <= 3.01


def test_histories_have_an_order(ratings):
    assert not ratings.duplicated(["user_id", "rated_at"]).any()


def test_books_have_what_content_models_read(books):
    assert books[["title", "language", "year"]].notna().all(axis=None)
    assert books["title"].str.strip().ne("").all()
    for column in ("authors", "genres"):
        assert all(len(values) and all(values) for values in books[column])


def test_genres_are_few_slugs_without_repetition(books):
    assert books["genres"].map(len).between(3, 6).all()
    assert (books["genres"].map(len) == books["genres"].map(lambda names: len(set(names)))).all()
    assert books["genres"].explode().str.fullmatch(r"[a-z]+(-[a-z]+)*").all()


def test_every_genre_is_shared(books):
    assert books["genres"].explode().value_counts().min() >= 3


def test_descriptions_are_one_sentence_of_ten_to_25_words(books):
    assert books["description"].str.fullmatch(r"[^\n]*[^.]\.").all()
    assert not books["description"].str.contains(". ", regex=False).any()
    assert books["description"].str.split().map(len).between(10, 25).all()


def test_no_two_books_share_title_and_authors(books):
    assert (
        not books.assign(authors=books["authors"].map(tuple)).duplicated(["title", "authors"]).any()
    )


def test_languages_are_iso_639_1(books):
    assert books["language"].str.fullmatch("[a-z]{2}").all()


def test_empty_cells_are_null(books):
    assert books["series"].isna().any()
    assert not (books[["series", "isbn13", "description"]] == "").any(axis=None)


def test_accents_and_years_before_the_common_era_survive(books):
    assert "Gabriel García Márquez" in set(books["authors"].explode())
    assert books.set_index("title").loc["The Iliad", "year"] < 0


def test_readers_like_the_genre_they_read_most(rated):
    counts = rated.groupby(["user_id", "genre"]).size()
    favourite = counts.groupby("user_id").idxmax().str[1]
    is_favourite = rated["genre"] == rated["user_id"].map(favourite)

    gain = rated["rating"][is_favourite].mean() - rated["rating"][~is_favourite].mean()

    assert gain > 0.1


def test_readers_of_a_series_come_back_to_it(rated):
    """Shuffling keeps how active readers and how famous books are, and takes taste away."""
    shuffled = rated.assign(
        user_id=np.random.default_rng(0).permutation(rated["user_id"].to_numpy())
    )

    assert _pairs_in_series(rated) > 2 * _pairs_in_series(shuffled)


def test_volumes_are_mostly_read_in_order(rated):
    volumes = rated.assign(volume=rated["book_id"].astype("int64")).dropna(subset="series")
    steps = volumes.groupby(["user_id", "series"])["volume"].diff().dropna()

    assert (steps > 0).mean() > 0.8


def test_fame_is_uneven(ratings):
    counts = ratings["book_id"].value_counts()

    assert counts.head(len(counts) // 10).sum() > 0.25 * len(ratings)


def test_generosity_differs_between_readers(ratings):
    means = ratings.groupby("user_id")["rating"].agg(["mean", "size"])

    assert means["mean"][means["size"] >= 30].std() > 0.4  # 0.32 by taste alone


def test_other_sizes_are_kept(catalogue):
    small = simulate_readers(catalogue, rng=np.random.default_rng(1), n_readers=50, n_ratings=1_000)

    assert set(small["user_id"]) == set(range(1, 51))
    assert 800 <= len(small) <= 1_200


def test_a_reader_of_a_tiny_catalogue_reads_all_of_it():
    catalogue = pd.DataFrame(
        {
            "book_id": [4, 9],
            "year": [1900, 2000],
            "authors": [["A"], ["B", "C"]],
            "genres": [["epic"], ["horror"]],
            "series": ["", ""],
        }
    )

    readings = simulate_readers(catalogue, rng=np.random.default_rng(1), n_readers=3, n_ratings=9)

    assert sorted(readings["book_id"]) == [4, 4, 4, 9, 9, 9]


def _pairs_in_series(rated):
    sizes = rated.dropna(subset="series").groupby(["user_id", "series"]).size()
    return (sizes * (sizes - 1) / 2).sum()
