"""
Kinds of readers and kinds of books that a model is judged on apart.

A slice of readers is judged by all they have to find. A slice of books is judged on the same lists
by the books of the slice alone, over the readers who have at least one of them to find: how well
the model finds old books, say, among everything it could recommend.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.data.interactions import History
from pipelines.evaluation import metrics
from pipelines.evaluation.bootstrap import interval

Mask = npt.NDArray[np.bool_]
"""Shape (Q,) where it chooses readers; (n_books,) where it chooses books."""
Slice = dict[str, float]
"""n_readers, ndcg_at_10 with its 95 % bounds ndcg_at_10_low and ndcg_at_10_high, recall_at_20."""

HISTORY_LENGTHS = {
    "history_0": (0, 0),
    "history_1_4": (1, 4),
    "history_5_19": (5, 19),
    "history_20_99": (20, 99),
    "history_100_up": (100, np.inf),
}
"""Slices by number of met books, bounds included; named as MLflow accepts."""
POPULARITY = ("books_head", "books_middle", "books_tail")
"""The most read books that hold a third of all interactions, the next third, and the rest."""
N_LANGUAGES = 6
N_DECADES = 10
"""The largest of the catalogue have a slice each; what is left shares `…_other`."""


@dataclass(frozen=True)
class Found:
    """What the lists of a slice's readers have found of it."""

    readers: Mask
    """Shape (Q,)."""
    hits: metrics.Hits
    """Of these readers alone, shape (n, k)."""
    n_relevant: metrics.Counts
    """How much each of them has to find, shape (n,)."""

    @property
    def ndcg_at_10(self) -> metrics.PerReader:
        """Shape (Q,); NaN for readers who are not of the slice."""
        values = np.full(len(self.readers), np.nan)
        values[self.readers] = metrics.ndcg(self.hits[:, :10], self.n_relevant)
        return values

    def measured(self, rng: np.random.Generator) -> Slice:
        """Means over the readers; randomness is for the bootstrap of the interval."""
        ndcg = metrics.ndcg(self.hits[:, :10], self.n_relevant)
        low, high = interval(ndcg, rng=rng)
        return {
            "n_readers": float(len(ndcg)),
            "ndcg_at_10": float(ndcg.mean()),
            "ndcg_at_10_low": low,
            "ndcg_at_10_high": high,
            "recall_at_20": float(metrics.recall(self.hits[:, :20], self.n_relevant).mean()),
        }


def reader_slices(histories: Sequence[History]) -> dict[str, Mask]:
    """Readers by what is known of them: how many books they met, and whether they liked any."""
    met = np.array([len(history) for history in histories])
    new = np.array([not (history.weights > 0).any() for history in histories])
    lengths = {name: (met >= low) & (met <= high) for name, (low, high) in HISTORY_LENGTHS.items()}
    return lengths | {"readers_new": new}


def book_slices(catalogue: pd.DataFrame, popularity: npt.NDArray[np.integer]) -> dict[str, Mask]:
    """
    Books by how often they were met, by language and by decade.

    Args:
        catalogue: One row a book in vocabulary order, with columns language and year.
        popularity: Training interactions of each book, shape (n_books,).
    """
    return (
        _by_popularity(popularity)
        | _by_value("language", _languages(catalogue["language"]), N_LANGUAGES)
        | _by_value("decade", _decades(catalogue["year"]), N_DECADES)
    )


def found_in_slices(
    hits: metrics.Hits,
    books: metrics.BookNums,
    relevant: Sequence[npt.NDArray[np.int32]],
    readers: Mapping[str, Mask],
    kinds: Mapping[str, Mask],
) -> dict[str, Found]:
    """
    What lists hold of each slice; a slice without readers is left out.

    Args:
        hits: Shape (Q, k), k at least 20.
        books: The lists, shape (Q, k).
        relevant: What each reader has to find.
        readers: Masks of shape (Q,), by name.
        kinds: Masks of shape (n_books,), by name.
    """
    to_find = np.concatenate([np.empty(0, np.int32), *relevant])
    owners = np.repeat(np.arange(len(relevant)), [len(r) for r in relevant])
    n_relevant = np.bincount(owners, minlength=len(relevant))
    found = {
        name: Found(mask, hits[mask], n_relevant[mask])
        for name, mask in readers.items()
        if mask.any()
    }
    for name, mask in kinds.items():
        n_of_kind = np.bincount(owners[mask[to_find]], minlength=len(relevant))
        have = n_of_kind > 0
        if have.any():
            # A padded -1 reads the last mask, but is never a hit.
            found[name] = Found(have, hits[have] & mask[books[have]], n_of_kind[have])
    return found


def _by_popularity(popularity: npt.NDArray[np.integer]) -> dict[str, Mask]:
    """A book is of the third in which its first interaction falls; ties by book_num."""
    order = np.argsort(-popularity, kind="stable")
    before = np.empty(len(popularity), np.int64)
    before[order] = np.cumsum(popularity[order]) - popularity[order]
    third = 3 * before // max(int(popularity.sum()), 1)
    met = popularity > 0
    slices = {name: met & (third == i) for i, name in enumerate(POPULARITY)}
    return slices | {"books_new": ~met}


def _by_value(name: str, values: "pd.Series[str]", n_largest: int) -> dict[str, Mask]:
    """
    A slice for each of the most frequent values, one for the others, one for unknown.

    Nothing where no value is known, or all books have the same one: that says nothing new.
    """
    known = values.dropna()
    if known.nunique() + values.hasnans < 2 or known.empty:
        return {}
    sizes = known.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    largest = set(sizes.index[:n_largest])
    labels = values.where(values.isin(largest), "other").where(values.notna(), "unknown")
    return {
        f"{name}_{label}": (labels == label).to_numpy(np.bool_) for label in sorted(labels.unique())
    }


def _languages(column: "pd.Series[str]") -> "pd.Series[str]":
    """As codes; what else stands there is made fit for a metric's name."""
    return column.astype("str").where(column.notna()).map(_name, na_action="ignore")


def _name(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_") or "other"


def _decades(column: "pd.Series[int]") -> "pd.Series[str]":
    """1987 -> "1980"; the years before the common era go down too: -43 -> "-50"."""
    decades = (column.astype("Float64") // 10 * 10).astype("Int64")
    return decades.astype("str").where(column.notna())
