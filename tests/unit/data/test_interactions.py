import numpy as np
import pandas as pd
import pytest

from pipelines.data.interactions import History, Interactions, Vocabulary


def test_integers_stand_in_numeric_order():
    vocabulary = Vocabulary(np.array([10, 9, -3, 10]))
    assert list(vocabulary) == [-3, 9, 10]
    assert vocabulary.is_integer


def test_text_stands_in_order_of_code_points():
    vocabulary = Vocabulary(["b", "10", "9", "Z", "é", "a"])
    assert list(vocabulary) == ["10", "9", "Z", "a", "b", "é"]
    assert not vocabulary.is_integer


@pytest.mark.parametrize("dtype", ["int64", "str"])
def test_column_gives_its_distinct_ids(dtype):
    assert list(Vocabulary.of(pd.Series([2, 1, 2]).astype(dtype))) == list(
        Vocabulary.of(pd.Series([1, 2]).astype(dtype))
    )


def test_ids_are_plain_values():
    assert type(Vocabulary(np.array([1])).ids(np.array([0]))[0]) is int
    assert type(Vocabulary(["a"]).ids(np.array([0]))[0]) is str


def test_unknown_ids_are_minus_one():
    assert Vocabulary(np.array([1, 5])).nums([5, 2, 1]).tolist() == [1, -1, 0]
    assert Vocabulary(["a"]).nums(["b", "a"]).tolist() == [-1, 0]
    assert Vocabulary(["a"]).nums([]).tolist() == []


def test_ids_of_the_other_type_are_unknown():
    assert Vocabulary(np.array([1])).nums(["1"]).tolist() == [-1]
    assert Vocabulary(["1"]).nums([1]).tolist() == [-1]


@pytest.mark.parametrize("text", ["5", "-5", "0", str(2**63 - 1), str(-(2**63))])
def test_canonical_integer_is_parsed(text):
    assert Vocabulary(np.array([5, -5, 0, 2**63 - 1, -(2**63)])).parse(text) == int(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "--5",
        "+5",
        "05",
        "-0",
        " 5",
        "5 ",
        "5\n",
        "5.0",
        "\u0665",
        "1e1",
        "9" * 19,
        "9" * 5000,
    ],
)
def test_other_spellings_are_unknown(text):
    assert Vocabulary(np.array([5, -5, 0])).parse(text) is None


def test_text_is_parsed_as_it_is():
    vocabulary = Vocabulary(["05", "a"])
    assert vocabulary.parse("05") == "05"
    assert vocabulary.parse("5") is None


def test_an_alias_is_parsed_to_the_id_that_it_means():
    for vocabulary in (Vocabulary(["05", "a"]), Vocabulary(np.array([5, 7]))):
        first, second = vocabulary
        named = vocabulary.with_aliases({"old": first, "8": first, str(second): first})
        assert [named.parse(text) for text in ("old", "8", "9")] == [first, first, None]
        assert named.parse(str(second)) == second  # an id is no alias
        assert list(named) == list(vocabulary)


def test_empty_vocabularies():
    for empty in (Vocabulary([]), Vocabulary(np.empty(0, np.int64))):
        assert len(empty) == 0
        assert empty.parse("1") is None


def test_liked_books_stand_in_ascending_order_with_their_weights():
    history = History(np.array([7, 3, 5, 1], np.int32), np.array([0.5, 0, 1, -1], np.float32))
    assert history.liked.book_nums.tolist() == [5, 7]
    assert history.liked.weights.tolist() == [1, 0.5]


def history():
    return History(np.array([7, 3, 5, 1], np.int32), np.array([0.5, 0, 1, 1], np.float32))


def test_newest_liked_book_counts_most_in_a_profile():
    profile = history().profile(1.0)
    assert profile.book_nums.tolist() == [1, 5, 7]
    # Followed by 0, 1 and 3 others, the disliked one included; the weights sum to 2.5.
    assert profile.weights == pytest.approx(np.array([1, 1 / 2, 0.5 / 4]) * 2.5 / 1.625)
    assert profile.weights.dtype == np.float32


@pytest.mark.parametrize("recency", [0, 0.3, 1, 5])
def test_profile_keeps_the_sum_of_the_weights(recency):
    assert history().profile(recency).weights.sum() == pytest.approx(2.5)


def test_order_matters_to_a_profile_as_far_as_recency_says():
    backward = History(history().book_nums[::-1], history().weights[::-1])
    same, other = backward.profile(0), backward.profile(0.5)
    assert same.weights.tolist() == history().profile(0).weights.tolist() == [1, 1, 0.5]
    assert other.book_nums.tolist() == history().profile(0.5).book_nums.tolist()
    assert other.weights.tolist() != history().profile(0.5).weights.tolist()


def test_profile_without_recency_is_what_was_liked():
    assert history().profile(0).weights.tolist() == history().liked.weights.tolist()


@pytest.mark.parametrize("nothing", [History.of([]), History.of([3, 4])])
def test_profile_of_nothing_liked_is_empty(nothing):
    unliked = History(nothing.book_nums, 0 * nothing.weights)
    assert len(unliked.profile(0.5)) == len(unliked.profile(0)) == 0


def test_days_follow_the_rows_into_the_order_of_readers():
    days = np.array([5, 1, 6, 2, np.nan], np.float32)
    users, books = np.array([2, 0, 2, 0, 2]), np.array([3, 1, 0, 2, 1])
    built = Interactions.build(users, books, np.ones(5, np.float32), (4, 4), days)
    assert built.days[:4].tolist() == [1, 2, 5, 6]
    assert np.isnan(built.days[4])
    assert interactions().days is None


def interactions():
    users = np.array([2, 0, 2, 0, 2])
    books = np.array([3, 1, 0, 2, 1])
    weights = np.array([1, 0, 0.5, 1, -1], np.float32)
    return Interactions.build(users, books, weights, (4, 4))


def test_histories_keep_the_order_of_reading():
    assert interactions().history(2).book_nums.tolist() == [3, 0, 1]
    assert interactions().history(2).weights.tolist() == [1, 0.5, -1]


def test_readers_without_rows_have_empty_histories():
    assert [len(history) for history in interactions().histories([1, 3])] == [0, 0]


def test_liked_matrix_has_positive_weights_in_order():
    liked = interactions().liked
    assert liked.toarray().tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [0.5, 0, 0, 1], [0, 0, 0, 0]]
    assert liked.nnz == 3
    assert liked.has_sorted_indices


def test_liked_matrix_leaves_the_histories_alone():
    data = interactions()
    assert data.liked.nnz == 3
    assert data.matrix.nnz == 5
    assert data.history(2).book_nums.tolist() == [3, 0, 1]


def test_no_rows_at_all():
    empty = Interactions.build(
        np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), (2, 3)
    )
    assert (empty.n_readers, empty.n_books) == (2, 3)
    assert len(empty.history(1)) == 0
