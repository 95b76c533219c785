import re

import numpy as np
import pandas as pd
import pytest

from pipelines.data.interactions import History
from pipelines.evaluation import metrics
from pipelines.evaluation.slices import (
    N_DECADES,
    N_LANGUAGES,
    book_slices,
    found_in_slices,
    reader_slices,
)
from pipelines.models.base import RankedBooks

MLFLOW_NAME = re.compile(r"[/\w.\- ]+")


def shelf(languages, years=None):
    n = len(languages)
    return pd.DataFrame(
        {
            "language": pd.Series(languages, dtype="str"),
            "year": pd.array([None] * n if years is None else years, dtype="Int32"),
        }
    )


def books_of(slices):
    return {name: np.flatnonzero(mask).tolist() for name, mask in slices.items()}


def by_language(languages):
    slices = books_of(book_slices(shelf(languages), np.ones(len(languages), np.int64)))
    return {name: books for name, books in slices.items() if name.startswith("language")}


def by_decade(years):
    slices = books_of(book_slices(shelf([None] * len(years), years), np.ones(len(years), np.int64)))
    return {name: books for name, books in slices.items() if name.startswith("decade")}


def by_popularity(*counts):
    return books_of(book_slices(shelf([None] * len(counts)), np.array(counts)))


# --- readers


def test_readers_are_parted_by_the_number_of_books_they_met():
    lengths = [0, 1, 4, 5, 19, 20, 99, 100]
    slices = reader_slices([History.of(range(n)) for n in lengths])
    chosen = {name: [lengths[i] for i in np.flatnonzero(m)] for name, m in slices.items()}
    assert chosen == {
        "history_0": [0],
        "history_1_4": [1, 4],
        "history_5_19": [5, 19],
        "history_20_99": [20, 99],
        "history_100_up": [100],
        "readers_new": [0],
    }


def test_reader_who_liked_nothing_is_new():
    met = History(np.arange(3, dtype=np.int32), np.zeros(3, np.float32))
    assert reader_slices([met, History.of([1])])["readers_new"].tolist() == [True, False]


# --- books


def test_head_middle_and_tail_hold_a_third_of_the_interactions_each():
    assert by_popularity(1, 4, 0, 2, 1, 1, 3) == {
        "books_head": [1],
        "books_middle": [3, 6],
        "books_tail": [0, 4, 5],
        "books_new": [2],
    }


def test_book_of_most_interactions_is_the_head_alone():
    assert by_popularity(1, 98, 1)["books_head"] == [1]
    assert by_popularity(1, 98, 1)["books_tail"] == [0, 2]


def test_books_are_all_new_where_nobody_met_any():
    assert by_popularity(0, 0)["books_new"] == [0, 1]


def test_popularity_parts_the_books():
    counts = np.random.default_rng(0).zipf(1.5, 500).clip(0, 1000) - 1
    masks = np.array(list(book_slices(shelf([None] * 500), counts).values()))
    assert (masks.sum(axis=0) == 1).all()


def test_languages_have_a_slice_each():
    assert by_language(["en", "de", "en", None]) == {
        "language_de": [1],
        "language_en": [0, 2],
        "language_unknown": [3],
    }


def test_small_languages_share_one_slice():
    languages = [f"{chr(97 + i)}a" for i in range(N_LANGUAGES + 3) for _ in range(12 - i)]
    slices = by_language(languages)
    assert len(slices) == N_LANGUAGES + 1
    assert len(slices["language_other"]) == 6 + 5 + 4


def test_equally_large_languages_are_chosen_by_name():
    languages = [f"{chr(122 - i)}a" for i in range(N_LANGUAGES + 1)]
    assert "language_za" not in by_language(languages)


@pytest.mark.parametrize("languages", [["en", "en"], [None, None]])
def test_one_language_or_none_says_nothing(languages):
    assert by_language(languages) == {}


def test_decades_begin_with_0():
    assert by_decade([1990, 1999, 2000, 1989, None]) == {
        "decade_1980": [3],
        "decade_1990": [0, 1],
        "decade_2000": [2],
        "decade_unknown": [4],
    }


def test_years_before_the_common_era_have_decades_too():
    assert by_decade([-43, -50, 7]) == {"decade_-50": [0, 1], "decade_0": [2]}


def test_small_decades_share_one_slice():
    years = [1000 + 10 * i for i in range(N_DECADES + 4) for _ in range(20 - i)]
    slices = by_decade(years)
    assert len(slices) == N_DECADES + 1
    assert len(slices["decade_other"]) == 10 + 9 + 8 + 7


def test_names_are_fit_for_mlflow_whatever_stands_in_the_catalogue():
    languages = ["русский", "old norse (runic)", "???", "a:b", "en"]
    slices = book_slices(shelf(languages, [-800, 5, 1990, 2020, None]), np.arange(5))
    assert all(MLFLOW_NAME.fullmatch(name) for name in slices), list(slices)
    assert {"language_old_norse_runic", "language_other"} <= set(slices)


def test_same_books_give_the_same_slices_whatever_is_asked_of_them():
    languages = [None, "en", "de", "en"]
    first, second = by_language(languages), by_language(languages)
    assert first == second
    assert list(first) == sorted(first)


# --- what is measured

LISTS = [[1, 2, 3], [4, 1]]
RELEVANT = [np.array([2, 9], np.int32), np.array([4], np.int32)]


def found_in(kinds, readers=None, lists=None, relevant=None):
    ranked = [
        RankedBooks(np.array(nums, np.int32), -np.arange(len(nums), dtype=np.float32))
        for nums in lists or LISTS
    ]
    relevant = relevant or RELEVANT
    return found_in_slices(
        metrics.hit_matrix(ranked, relevant, 20),
        metrics.book_matrix(ranked, 20),
        relevant,
        readers or {},
        {name: np.isin(np.arange(10), nums) for name, nums in kinds.items()},
    )


def judged(kinds, readers=None, **lists):
    rng = np.random.default_rng(0)
    return {name: one.measured(rng) for name, one in found_in(kinds, readers, **lists).items()}


def test_slice_of_books_is_judged_by_its_own_books_on_the_same_lists():
    """Reader 0 is to find book 2 alone, which still stands at rank 2: 1 / log2(3)."""
    found = judged({"two": [2]})["two"]
    assert found["n_readers"] == 1
    assert found["ndcg_at_10"] == pytest.approx(1 / np.log2(3))
    assert found["recall_at_20"] == 1


def test_readers_without_a_book_of_the_slice_are_left_out():
    assert judged({"nine": [9]})["nine"] | {"ndcg_at_10_low": 0} == {
        "n_readers": 1,
        "ndcg_at_10": 0,
        "ndcg_at_10_low": 0,
        "ndcg_at_10_high": 0,
        "recall_at_20": 0,
    }


def test_slice_of_all_books_is_the_whole():
    whole = judged({"all": range(10)}, {"everyone": np.ones(2, bool)})
    assert whole["all"] == pytest.approx(whole["everyone"], abs=0.2)  # but for the bootstrap
    for name in ("n_readers", "ndcg_at_10", "recall_at_20"):
        assert whole["all"][name] == whole["everyone"][name]


def test_slice_that_nobody_looks_for_is_left_out():
    assert judged({"seven": [7]}, {"nobody": np.zeros(2, bool)}) == {}


def test_padding_is_no_hit_of_the_last_book():
    found = judged({"nine": [9]}, lists=[[1], [4]], relevant=[np.array([9]), np.array([4])])
    assert found["nine"]["ndcg_at_10"] == 0


def test_bounds_hold_the_mean():
    rng = np.random.default_rng(0)
    lists = [rng.permutation(10).tolist() for _ in range(60)]
    relevant = [np.array([3, 5], np.int32)] * 60
    found = judged({"three": [3]}, lists=lists, relevant=relevant)["three"]
    assert found["ndcg_at_10_low"] < found["ndcg_at_10"] < found["ndcg_at_10_high"]


def test_each_reader_of_a_slice_has_a_value_and_nobody_else():
    ndcg = found_in({"two": [2]})["two"].ndcg_at_10
    assert ndcg == pytest.approx([1 / np.log2(3), np.nan], nan_ok=True)
