"""
What each book says of each other, all learnt at once: a linear autoencoder in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, doi 10.1145/3308558.3313710.
"""

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import psutil
import structlog
from pydantic import Field
from scipy import sparse
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from pipelines.data.interactions import TrainingData
from pipelines.errors import ConfigurationError, ModelError
from pipelines.models.base import ModelConfig, Range, SearchSpace
from pipelines.models.documents import FieldWeights, document_matrix
from pipelines.models.item_weights import (
    ItemWeightsConfig,
    ItemWeightsRecommender,
    inverse_power,
    largest_of_rows,
    largest_products,
    on_all_cores,
    row_blocks,
    without_diagonal,
)

log = structlog.get_logger()

MAX_WORDS = 20_000
MAX_SHARE = 0.1
"""What more of the books have in common than this tells none of them apart, and costs most."""
AFFORDABLE_BOOKS = 5_000
"""Up to here the dense solver takes seconds; beyond, neighbourhoods are as good and far cheaper."""
DENSE_COPIES = 2.5
"""Peak memory of the dense solver, in matrices of n_books squared float32 numbers."""

Dense = npt.NDArray[np.float32]


class EaseConfig(ItemWeightsConfig):
    """See `EaseRecommender` for the formula."""

    recency: float = Field(0.75, ge=0)
    regularization: float = Field(20.0, gt=0)
    user_exponent: float = Field(0.25, ge=0)
    """Above 0, a reader of many books says less about each of them."""
    authors: float = Field(2.0, ge=0)
    """Weight of shared authors beside shared readers; 0 leaves them out, as for the next four."""
    series: float = Field(4.0, ge=0)
    genres: float = Field(1.0, ge=0)
    title: float = Field(0.5, ge=0)
    description: float = Field(2.0, ge=0)
    k_neighbors: int = Field(500, ge=1)
    """How many weights of each book are kept: the largest, whatever their sign."""
    solver: Literal["auto", "dense", "neighborhoods"] = "auto"
    """`auto`: dense for up to 5,000 books where memory allows, else neighborhoods."""
    neighborhood_size: int = Field(100, ge=1)
    max_dense_books: int = Field(30_000, ge=1)
    """The dense solver refuses a larger catalogue."""


class EaseRecommender(ItemWeightsRecommender):
    """
    Weighs books so that each liked book is told best by the reader's other ones.

    W = argmin ||XW - X||^2 + regularization ||W||^2 with an empty diagonal, hence (the paper's
    eq. 8) W_ij = -P_ij / P_jj, P = (G + regularization I)^-1, where here

    G = sum_u x_u x_u^T / n_u^(2 user_exponent) + sum_f weight_f D_f D_f^T

    x_u are the weights of reader u's books, n_u their sum, and D_f the TF-IDF rows of field f of
    the catalogue: a word, an author or a series acts as one more reader who likes all its books
    [collective EASE: Jeunen et al. 2020, doi 10.1145/3383313.3418480]. So a book that nobody has
    read yet has weights too.

    Large catalogues are solved by neighbourhoods: column j of W is the ridge regression of book j
    on the `neighborhood_size` books i of the largest G_ij / sqrt(G_ii + regularization), all others
    being 0. It costs O(n_books neighborhood_size^3) and never holds a dense matrix.
    """

    name: ClassVar[str] = "ease"
    config_class: ClassVar[type[ModelConfig]] = EaseConfig
    search_space: ClassVar[SearchSpace] = {
        "regularization": Range(1, 500, log=True),
        "user_exponent": Range(0, 0.6),
        "series": Range(0.1, 30, log=True),
        "authors": Range(0.1, 30, log=True),
        "genres": Range(0.1, 30, log=True),
        "description": Range(0.1, 30, log=True),
        "recency": Range(0, 1.5),
    }
    config: EaseConfig

    def _learn(self, data: TrainingData) -> sparse.csr_array:
        readers, documents = self._readers(data), self._documents(data)
        solve = {"dense": self._dense, "neighborhoods": self._neighborhoods}
        return solve[self._solver(readers.shape[1])](readers, documents)

    def _solver(self, n_books: int) -> str:
        """
        Which solver this catalogue gets.

        Raises:
            ConfigurationError: the dense one was asked for and is out of reach.
        """
        config = self.config
        needed = DENSE_COPIES * 4 * n_books**2
        fits = n_books <= config.max_dense_books and needed < psutil.virtual_memory().available
        if config.solver == "dense" and not fits:
            raise ConfigurationError(
                f"model ease: the dense solver is out of reach for {n_books} books: "
                f"it needs {needed / 2**30:.1f} GiB and max_dense_books is "
                f"{config.max_dense_books}; use the solver neighborhoods"
            )
        if config.solver != "auto":
            return config.solver
        return "dense" if fits and n_books <= AFFORDABLE_BOOKS else "neighborhoods"

    def _readers(self, data: TrainingData) -> sparse.csr_array:
        """x_u / n_u^user_exponent, one row a reader."""
        liked = data.interactions.liked
        scale = inverse_power(np.asarray(liked.sum(axis=1)), self.config.user_exponent)
        return sparse.csr_array(sparse.diags_array(scale) @ liked).astype(np.float32)

    def _documents(self, data: TrainingData) -> sparse.csr_array:
        """The D_f side by side, times sqrt(weight_f), one row a book."""
        fields = FieldWeights.model_fields
        weights = {field: getattr(self.config, field) ** 0.5 for field in fields}
        documents = document_matrix(
            data.books, FieldWeights(**weights), MAX_WORDS, data.cache_folder
        ).tocsc()
        telling = np.diff(documents.indptr) <= max(MAX_SHARE * documents.shape[0], 1)
        return sparse.csr_array(documents[:, telling]).astype(np.float32)

    def _dense(self, readers: sparse.csr_array, documents: sparse.csr_array) -> sparse.csr_array:
        matrix = (readers.T @ readers).toarray()
        for rows in row_blocks(len(matrix)):
            matrix[rows] += documents[rows] @ documents.T
        matrix[np.diag_indices_from(matrix)] += self.config.regularization
        # Symmetric, so its transpose is the same matrix in the order that LAPACK changes in place.
        factor, failed = lapack.spotrf(matrix.T, lower=True, overwrite_a=True)
        if not failed:
            inverse, failed = lapack.spotri(factor, lower=True, overwrite_c=True)
        if failed:
            raise ModelError(
                "ease: the Gram matrix cannot be inverted in float32: raise the regularization"
            )
        return self._weights_from(inverse)

    def _weights_from(self, inverse: Dense) -> sparse.csr_array:
        """The largest -P_ij / P_jj of each row, from the lower triangle of P."""
        diagonal = np.diag(inverse).copy()

        def kept(rows: slice) -> sparse.csr_array:
            block = np.tril(inverse[rows], rows.start)
            # Right of the diagonal P_ij is what stands below it as P_ji.
            block += np.triu(inverse[:, rows].T, rows.start + 1)
            block /= -diagonal
            block[np.arange(len(block)), rows.start + np.arange(len(block))] = 0
            return _largest_entries(block, self.config.k_neighbors)

        return sparse.csr_array(
            sparse.vstack(list(on_all_cores(kept, row_blocks(len(inverse)))), format="csr")
        )

    def _neighborhoods(
        self, readers: sparse.csr_array, documents: sparse.csr_array
    ) -> sparse.csr_array:
        gram, diagonal = self._sparse_gram(readers, documents)
        near = largest_of_rows(
            gram, self.config.neighborhood_size, gram.data / np.sqrt(diagonal[gram.indices])
        )
        n_books = len(diagonal)

        def regressed(books: slice) -> sparse.csc_array:
            columns = [_ridge(gram, diagonal, near, j) for j in range(*books.indices(n_books))]
            indptr = near.indptr[books.start : books.start + len(columns) + 1]
            return sparse.csc_array(
                (
                    np.concatenate(columns),
                    near.indices[indptr[0] : indptr[-1]],
                    indptr - indptr[0],
                ),
                shape=(n_books, len(columns)),
            )

        # One thread a book: threads of a BLAS inside them would fight for the same cores.
        with threadpool_limits(1, "blas"):
            blocks = list(on_all_cores(regressed, row_blocks(n_books)))
        weights = sparse.csr_array(sparse.hstack(blocks, format="csr"))
        return largest_of_rows(weights, self.config.k_neighbors, np.abs(weights.data))

    def _sparse_gram(
        self, readers: sparse.csr_array, documents: sparse.csr_array
    ) -> tuple[sparse.csr_array, Dense]:
        """The largest G_ij of each book off the diagonal, and G_jj + regularization."""
        beside = sparse.csr_array(sparse.hstack([readers.T, documents], format="csr"))
        diagonal = np.asarray(beside.multiply(beside).sum(axis=1)).ravel()
        diagonal = (diagonal + self.config.regularization).astype(np.float32)
        scale = np.sqrt(diagonal)
        scaled = sparse.diags_array(1 / scale) @ beside
        relative = largest_products(beside, scaled.T, 2 * self.config.neighborhood_size + 1)
        gram = without_diagonal(relative)
        gram.data *= scale[gram.indices]
        # An entry kept for one of two books belongs to both, or the matrix would not be symmetric.
        gram = sparse.csr_array(gram.maximum(gram.T))
        gram.sort_indices()
        return gram, diagonal


def _ridge(gram: sparse.csr_array, diagonal: Dense, near: sparse.csr_array, book: int) -> Dense:
    """The regression of one book on its neighbourhood, shape (size of the neighbourhood,)."""
    entries = slice(near.indptr[book], near.indptr[book + 1])
    books = near.indices[entries]
    if not len(books):
        return np.empty(0, np.float32)
    among = gram[books][:, books].toarray()
    among[np.diag_indices_from(among)] = diagonal[books]
    return np.linalg.solve(among, near.data[entries])


def _largest_entries(block: Dense, k: int) -> sparse.csr_array:
    """The `k` entries of each row of the largest absolute value, zeros left out."""
    if k >= block.shape[1]:
        return sparse.csr_array(block)
    size = np.abs(block)
    threshold = np.partition(size, block.shape[1] - k, axis=1)[:, block.shape[1] - k]
    kept = sparse.csr_array(np.where(size >= threshold[:, np.newaxis], block, 0))
    return largest_of_rows(kept, k, np.abs(kept.data))  # of equal ones at the edge, too many
