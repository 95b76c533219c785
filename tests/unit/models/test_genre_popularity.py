import numpy as np
import pytest

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.models.genre_popularity import GenrePopularityConfig, GenrePopularityRecommender
from pipelines.models.popularity import PopularityRecommender
from tests.factories import wordless_books

GENRES = [["Crime"], ["crime", "City"], ["city"], ["sea"], [], ["sea", "sea"]]
LIKED = [4, 2, 1, 8, 16, 0]


def data(genres=GENRES, *, ordered=False):
    """Book b is liked by the first LIKED[b] of 16 readers."""
    books = np.repeat(np.arange(len(LIKED)), LIKED)
    readers = np.concatenate([np.arange(n) for n in LIKED])
    board = Interactions.build(readers, books, np.ones(len(books), np.float32), (16, len(LIKED)))
    return TrainingData(board, wordless_books(len(LIKED)).assign(genres=genres), ordered=ordered)


def scores(history, *, genres=GENRES, ordered=False, **config):
    model = GenrePopularityRecommender(GenrePopularityConfig(**config))
    return model.fit(data(genres, ordered=ordered), rng=np.random.default_rng(0)).score(history)


def popularity(of):
    return PopularityRecommender().fit(of, rng=np.random.default_rng(0)).score(History.of([]))


def test_books_share_the_likings_of_the_readers_genres():
    # Of 31 likings, 6 are of crime, 3 of the city, 8 of the sea; both books are crime, one city.
    got = scores(History.of([0, 1]))
    crime, city = 1.0 * 31 / 6, 0.5 * 31 / 3
    expected = np.log1p([4 * crime, 2 * (crime + city), 1 * city, 0, 0, 0])
    assert got == pytest.approx(expected)


def test_half_liked_books_count_half():
    history = History(np.array([0, 3, 2], np.int32), np.array([1, 0.5, 0], np.float32))
    expected = np.log1p([4 * 31 / 6 / 1.5, 2 * 31 / 6 / 1.5, 0, 8 * 31 / 8 / 3, 0, 0])
    assert scores(history) == pytest.approx(expected)


@pytest.mark.parametrize("history", [History.of([]), History.of([4])])
def test_reader_of_no_known_genre_gets_what_is_popular(history):
    assert scores(history).tolist() == popularity(data()).tolist()


def test_catalogue_without_genres_is_plain_popularity():
    bare = [[]] * len(GENRES)
    assert scores(History.of([0]), genres=bare).tolist() == popularity(data(bare)).tolist()


def test_genre_named_twice_counts_once():
    once = [*GENRES[:5], ["sea"]]
    assert scores(History.of([0, 5])).tolist() == scores(History.of([0, 5]), genres=once).tolist()


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_genres_are_no_genres(missing):
    some = [*GENRES[:4], missing, GENRES[5]]
    assert scores(History.of([0]), genres=some) == pytest.approx(scores(History.of([0])))


def test_one_genre_for_all_is_plain_popularity():
    same = [["book"]] * len(GENRES)
    assert scores(History.of([0]), genres=same) == pytest.approx(popularity(data(same)))


def test_genre_that_nobody_liked_says_nothing():
    new = [*GENRES[:5], ["essay"]]
    assert scores(History.of([5]), genres=new).tolist() == popularity(data(new)).tolist()


def test_recent_genres_count_more_where_the_order_is_known():
    crime_then_sea = History.of([0, 3])
    even = scores(crime_then_sea, recency=1)
    recent = scores(crime_then_sea, recency=1, ordered=True)
    assert recent[3] > even[3]
    assert recent[0] < even[0]
