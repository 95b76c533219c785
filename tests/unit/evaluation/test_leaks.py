"""What each kind of leak looks like, planted; and that clean data of all kinds pass."""

import numpy as np
import pytest

from pipelines.data.interactions import Interactions, TrainingData
from pipelines.data.sources.sample import read_sample
from pipelines.data.splits import Part, split_histories
from pipelines.errors import DataError
from pipelines.evaluation import leaks
from pipelines.evaluation.leaks import assert_no_leak
from tests.factories import books_frame, wordless_books

TRAINED = (Part.TRAIN, Part.VALIDATION)


@pytest.fixture(scope="module")
def sample():
    """The library that comes with the project, split by time: series are read to their end."""
    ratings, books = read_sample()
    user_nums = ratings["user_id"].to_pandas().astype(int).to_numpy() - 1
    place = {book_id: num for num, book_id in enumerate(books["book_id"].to_pylist())}
    book_nums = np.array([place[i] for i in ratings["book_id"].to_pylist()])
    parts = split_histories(
        user_nums, test=0.2, validation=0.1, order="timestamp", rng=np.random.default_rng(0)
    )
    shape = (int(user_nums.max()) + 1, len(place))

    def of(*wanted):
        rows = np.isin(parts, wanted)
        ones = np.ones(int(rows.sum()), np.float32)
        return Interactions.build(user_nums[rows], book_nums[rows], ones, shape)

    return of, books.to_pandas()


def named(books, met, share=1.0, noise=0.0, field="genres"):
    """A catalogue in which each book says who met it, for a share of the readers."""
    rng = np.random.default_rng(0)
    chosen = rng.random(met.n_readers) < share
    labels = [list(genres) for genres in books["genres"]]
    texts = books["description"].fillna("").tolist()
    for reader in np.flatnonzero(chosen):
        for book in met.history(int(reader)).book_nums:
            told = int(rng.integers(len(labels))) if rng.random() < noise else int(book)
            labels[told].append(f"reader {reader}")
            texts[told] += f" x{reader}"
    return books.assign(**{field: labels if field == "genres" else texts})


# --- clean data


def test_sample_is_clean(sample):
    of, books = sample
    assert_no_leak(TrainingData(of(*TRAINED), books), of(Part.TEST))
    assert_no_leak(TrainingData(of(Part.TRAIN), books), of(Part.VALIDATION))


def test_names_of_those_who_met_a_book_in_training_are_no_leak(sample):
    """What is computed from training rows tells nothing of the test rows."""
    of, books = sample
    poisoned = named(books, of(*TRAINED))
    assert_no_leak(TrainingData(of(*TRAINED), poisoned), of(Part.TEST))


def test_names_of_other_readers_are_no_leak(sample):
    """Tokens of as many books, which say nothing of the readers they are named after."""
    of, books = sample
    test = of(Part.TEST)
    shuffled = Interactions(test.matrix[:, np.random.default_rng(0).permutation(test.n_books)])
    assert_no_leak(TrainingData(of(*TRAINED), named(books, shuffled)), test)


def test_library_in_which_all_read_their_genre_to_the_end_is_clean():
    """A genre that all readers of one taste went through fits each of them, and names none."""
    readers, books = np.meshgrid(np.arange(60), np.arange(40), indexing="ij")
    own = (readers + books) % 2 == 0
    held_out = own & ((books - readers) % 40 < 8)
    frame = (
        books_frame()
        .iloc[np.zeros(40, int)]
        .assign(
            title=None,
            description=None,
            series=None,
            authors=[[]] * 40,
            genres=[["even" if b % 2 == 0 else "odd"] for b in range(40)],
        )
    )
    assert_no_leak(TrainingData(made(own & ~held_out), frame), made(held_out))


def test_readers_deep_in_an_author_of_their_own_are_no_leak():
    """Of twenty books of an author the last three are held out, and five stay unread."""
    authors = np.repeat(np.arange(30), 20)
    place = np.tile(np.arange(20), 30)
    own = np.arange(30)[:, None] == authors
    frame = (
        books_frame()
        .iloc[np.zeros(600, int)]
        .assign(title=None, description=None, series=None, genres=[[]] * 600)
        .assign(authors=[[f"author {a}"] for a in authors])
    )
    known = (own & (place < 12)) | (np.roll(own, 1, axis=0) & (place < 6))
    held_out = made(own & (place >= 12) & (place < 15))
    assert_no_leak(TrainingData(made(known), frame), held_out)


def test_catalogue_without_words_and_nobody_held_out_are_clean():
    rows = np.ones((5, 12), bool)
    assert_no_leak(TrainingData(made(rows), wordless_books()), made(~rows))
    half = np.arange(12) < 6
    assert_no_leak(TrainingData(made(rows & half), wordless_books()), made(rows & ~half))


def made(rows):
    readers, books = np.nonzero(rows)
    return Interactions.build(readers, books, np.ones(len(readers), np.float32), rows.shape)


# --- planted leaks


def test_pair_that_is_trained_on_and_held_out_is_a_leak(sample):
    of, books = sample
    with pytest.raises(DataError, match=r"leak: 1\d,\d+ held-out pairs .* also trained on"):
        assert_no_leak(TrainingData(of(*Part), books), of(Part.TEST))


def test_one_shared_pair_is_enough():
    train, test = np.zeros((2, 12), bool), np.zeros((2, 12), bool)
    train[0, :5] = test[1, 3:8] = True
    train[1, 3] = True
    with pytest.raises(DataError, match="leak: 1 held-out pairs"):
        assert_no_leak(TrainingData(made(train), wordless_books()), made(test))


@pytest.mark.parametrize("parts", [(Part.TEST,), tuple(Part)], ids=["test rows", "all rows"])
@pytest.mark.parametrize("field", ["genres", "description"])
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_catalogue_that_names_who_will_read_a_book_is_a_leak(sample, parts, field, share):
    """Names of the test rows alone, and names from before the split, in a list or in a text."""
    of, books = sample
    poisoned = named(books, of(*parts), share, field=field)
    with pytest.raises(DataError, match=rf"leak: the catalogue names .* \(such as {field} '"):
        assert_no_leak(TrainingData(of(*TRAINED), poisoned), of(Part.TEST))


def test_names_that_are_sometimes_wrong_are_a_leak_still(sample):
    of, books = sample
    poisoned = named(books, of(Part.TEST), noise=0.1)
    with pytest.raises(DataError, match="leak: the catalogue names"):
        assert_no_leak(TrainingData(of(*TRAINED), poisoned), of(Part.TEST))


def test_reading_every_tenth_reader_finds_the_leak_too(sample, monkeypatch):
    of, books = sample
    monkeypatch.setattr(leaks, "MAX_READERS", 200)
    with pytest.raises(DataError, match="of 200 readers"):
        assert_no_leak(TrainingData(of(*TRAINED), named(books, of(Part.TEST))), of(Part.TEST))


def test_column_that_no_source_of_books_has_is_a_leak(sample):
    of, books = sample
    computed = books.assign(mean_rating=3.5)
    with pytest.raises(DataError, match="shown mean_rating"):
        assert_no_leak(TrainingData(of(*TRAINED), computed), of(Part.TEST))
