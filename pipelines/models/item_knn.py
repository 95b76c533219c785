"""Books liked by the same readers: item neighbours by normalised co-occurrence."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from pipelines.data.interactions import History, TrainingData
from pipelines.models.artifact import Array, read_artifact, write_artifact
from pipelines.models.base import BookNums, ModelConfig, Recommender, Scores

BLOCK_ROWS = 256


class ItemKnnConfig(ModelConfig):
    """See `ItemKnnRecommender` for the formula."""

    k_neighbors: int = Field(300, ge=1)
    shrinkage: float = Field(3.0, ge=0)
    """Pulls down similarities that rest on few readers."""
    user_exponent: float = Field(0.5, ge=0)
    """Above 0, a reader of many books says less about each pair of them."""
    item_exponent: float = Field(0.5, ge=0)
    """Above 0, a much read book of the history says less."""
    candidate_exponent: float = Field(0.6, ge=0)
    """Above 0, a much read book is recommended less."""


class ItemKnnRecommender(Recommender):
    """
    Scores a book by its similarity to the books of the history.

    S_ij = sum_u(x_ui x_uj / n_u^user_exponent)
           / (n_i^item_exponent n_j^candidate_exponent + shrinkage)

    where x_ui is the weight of book i for reader u, n_u the sum of the reader's weights and n_i
    the sum of the book's. Row i keeps its `k_neighbors` largest S_ij. The score of book j is
    the sum of weight_i S_ij over the liked books i.
    """

    name: ClassVar[str] = "item_knn"
    config: ItemKnnConfig
    indptr_: npt.NDArray[np.int64]
    indices_: npt.NDArray[np.int32]
    similarities_: npt.NDArray[np.float32]

    def __init__(self, config: ItemKnnConfig | None = None) -> None:
        self.config = config or ItemKnnConfig()

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:  # noqa: ARG002
        """
        Count co-occurrences in blocks of books; nothing is random here.

        Notes:
            O(sum of squared history lengths) time; a block holds `BLOCK_ROWS` sparse rows.
        """
        liked = data.interactions.liked
        rows = list(self._neighbours(liked))
        sizes = [len(nums) for nums, _ in rows]
        self.indptr_ = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.indices_ = np.concatenate([np.empty(0, np.int32), *(nums for nums, _ in rows)])
        self.similarities_ = np.concatenate([np.empty(0, np.float32), *(sims for _, sims in rows)])
        return self

    def _neighbours(
        self, liked: sparse.csr_array
    ) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]:
        """Neighbours and similarities of each book in turn, ascending by book_num."""
        config = self.config
        sums = np.asarray(liked.sum(axis=0), dtype=np.float64)
        candidate = sums**config.candidate_exponent
        by_reader = _inverse_power(np.asarray(liked.sum(axis=1)), config.user_exponent)
        weighted = (sparse.diags_array(by_reader) @ liked).T.tocsr()
        for start in range(0, len(sums), BLOCK_ROWS):
            block = weighted[start : start + BLOCK_ROWS] @ liked
            for row in range(block.shape[0]):
                book = start + row
                entries = slice(block.indptr[row], block.indptr[row + 1])
                others = block.indices[entries]
                bound = sums[book] ** config.item_exponent * candidate[others] + config.shrinkage
                yield _largest(others, block.data[entries] / bound, config.k_neighbors, book)

    def score(self, history: History) -> Scores:
        """Sum of the similarities to the liked books; -inf for a book near none of them."""
        liked = history.liked
        nums, terms, _ = self._terms(liked)
        sums = np.bincount(nums, weights=terms, minlength=self._n_books).astype(np.float32)
        sums[sums == 0] = -np.inf
        return sums

    def similarity(self, book_num: int) -> Scores:
        """The kept neighbours of a book."""
        scores = np.full(self._n_books, -np.inf, np.float32)
        row = slice(self.indptr_[book_num], self.indptr_[book_num + 1])
        scores[self.indices_[row]] = self.similarities_[row]
        return scores

    def contributions(self, history: History, book_nums: BookNums) -> npt.NDArray[np.float32]:
        """The term of each liked book in the sum that is the score."""
        liked = history.liked
        nums, terms, sizes = self._terms(liked)
        columns = np.repeat(np.arange(len(liked)), sizes)
        row_of = np.full(self._n_books, -1)
        row_of[book_nums] = np.arange(len(book_nums))
        asked = np.flatnonzero(row_of[nums] >= 0)
        amounts = np.zeros((len(book_nums), len(liked)), np.float32)
        amounts[row_of[nums[asked]], columns[asked]] = terms[asked]
        return amounts

    def _terms(
        self, liked: History
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Neighbours of all liked books, their terms, and how many stem from each liked book."""
        starts, stops = self.indptr_[liked.book_nums], self.indptr_[liked.book_nums + 1]
        sizes = stops - starts
        # Positions of the rows' entries, row after row: an offset that jumps where a row ends.
        offsets = np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
        entries = offsets + np.arange(len(offsets))
        terms = self.similarities_[entries] * np.repeat(liked.weights, sizes)
        return self.indices_[entries], terms, sizes

    @property
    def _n_books(self) -> int:
        return len(self.indptr_) - 1

    def save(self, folder: Path) -> None:
        """Write the neighbours as the three arrays of a CSR matrix."""
        arrays: dict[str, Array] = {
            "indptr": self.indptr_,
            "indices": self.indices_,
            "similarities": self.similarities_,
        }
        write_artifact(folder, self.name, self.config, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model."""
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(ItemKnnConfig))
        model.indptr_ = artifact.array("indptr")
        model.indices_ = artifact.array("indices")
        model.similarities_ = artifact.array("similarities")
        return model


def _inverse_power(sums: npt.NDArray[np.floating], exponent: float) -> npt.NDArray[np.float32]:
    """The power of each positive sum; 0 for a reader who likes nothing."""
    positive = sums > 0
    return np.where(positive, np.where(positive, sums, 1.0) ** -exponent, 0.0).astype(np.float32)


def _largest(
    nums: npt.NDArray[np.int32], similarities: npt.NDArray[np.floating], k: int, itself: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The `k` largest but for the book itself, ties by book_num; returned by ascending num."""
    kept = nums != itself
    nums, similarities = nums[kept].astype(np.int32), similarities[kept].astype(np.float32)
    if k < len(nums):
        threshold = np.partition(similarities, len(nums) - k)[len(nums) - k]
        kept = similarities >= threshold
        nums, similarities = nums[kept], similarities[kept]
        order = np.lexsort((nums, -similarities))[:k]
        nums, similarities = nums[order], similarities[order]
    order = np.argsort(nums)
    return nums[order], similarities[order]
