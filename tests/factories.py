"""Small data of which the right answer is known beforehand."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.data.interactions import Interactions, TrainingData, Vocabulary
from pipelines.data.schemas import BOOKS
from pipelines.models.bundle import ModelBundle
from pipelines.models.content import ContentRecommender
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from pipelines.models.item_knn import ItemKnnRecommender
from pipelines.models.popularity import PopularityRecommender
from pipelines.storage.figures import BatchFigures, Figures, LibraryFigures

N_BOOKS = 12

SHELF = [
    # title, authors, genres, series, description
    ("The Grey Wizard", ["J.K. Tolling"], ["fantasy"], "Grey Saga", "A wizard guards a gate."),
    ("The Grey Tower", ["J.K. Tolling"], ["fantasy"], "Grey Saga", "The wizard climbs a tower."),
    ("The Grey Sea", ["J. K. Tolling"], ["fantasy"], "Grey Saga", "A wizard sails to the gate."),
    ("Dragon Weather", ["Ana Brandt"], ["fantasy"], None, "A dragon and a wizard share a tower."),
    ("Orbit of Iron", ["Lem Okafor"], ["science fiction"], "Orbit", "Miners orbit a dead planet."),
    ("Orbit of Glass", ["Lem Okafor"], ["science fiction"], "Orbit", "A planet of glass, a ship."),
    ("The Quiet Ship", ["Mia Sato"], ["science fiction"], None, "A ship waits above the planet."),
    ("Murder at Noon", ["Rex Hall"], ["crime"], "Inspector Bell", "Bell finds a body at noon."),
    ("Murder at Dusk", ["Rex Hall"], ["crime"], "Inspector Bell", "Bell hunts a killer at dusk."),
    ("The Baker's Alibi", ["Ida Noor"], ["crime"], None, "A killer, a baker, an alibi."),
    ("Letters Home", ["Mia Sato", "Ida Noor"], ["romance"], None, "Letters cross a war."),
    ("Harvest Moon", ["Ana Brandt"], ["romance"], None, "Two farms, one harvest, one war."),
]

WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
DRIFT = {
    "columns": [
        {"column": "rating", "psi": 0.31, "level": "warning"},
        {"column": "year", "psi": 0.01, "level": "steady"},
    ]
}
FIGURES = Figures(
    batches=(
        BatchFigures("first", WHEN, accepted=True, score=90.0, drift=None),
        BatchFigures("shop", WHEN, accepted=False, score=81.5, drift=DRIFT),
    ),
    libraries=(LibraryFigures("shop", WHEN, 600_000),),
    decisions={False: 0, True: 2},
    decided_at=WHEN,
    moves={"promote": 2, "rollback": 0},
)
"""Of a dataset whose newest batch was refused, and of one that has no batch before."""


def catalogue(book_ids: Sequence[object] | None = None) -> pa.Table:
    """Twelve books in vocabulary order; ids 10, 20, ... unless given."""
    titles, authors, genres, series, descriptions = zip(*SHELF, strict=True)
    table = pa.table(
        {
            "book_id": book_ids or [10 * (num + 1) for num in range(N_BOOKS)],
            "title": titles,
            "authors": authors,
            "year": pa.array(range(1990, 1990 + N_BOOKS), pa.int32()),
            "language": ["en"] * N_BOOKS,
            "genres": genres,
            "series": series,
            "isbn13": pa.nulls(N_BOOKS, pa.string()),
            "description": descriptions,
            "row": pa.array(range(1, N_BOOKS + 1), pa.int64()),
        }
    )
    assert table.schema.names == BOOKS.names
    return table


def books_frame(table: pa.Table | None = None) -> pd.DataFrame:
    """The catalogue as models read it."""
    columns = ["title", "authors", "genres", "series", "description", "year"]
    return (table or catalogue()).select(columns).to_pandas()


def wordless_books(n_books: int = N_BOOKS) -> pd.DataFrame:
    """Books of which nothing is written."""
    return pd.DataFrame(
        {
            "title": pd.Series([None] * n_books, dtype="object"),
            "authors": [[]] * n_books,
            "genres": [[]] * n_books,
            "series": pd.Series([None] * n_books, dtype="object"),
            "description": pd.Series([None] * n_books, dtype="object"),
            "year": pd.array([None] * n_books, dtype="Int32"),
        }
    )


def checkerboard_rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Reader r likes each book b of the colour of their own number, but has not met b = r yet.

    So the one right recommendation for reader r among the books of the same colour is b = r.
    """
    readers, books = np.divmod(np.arange(N_BOOKS * N_BOOKS), N_BOOKS)
    liked = ((readers + books) % 2 == 0) & (readers != books)
    readers, books = readers[liked], books[liked]
    return readers, books, np.ones(len(readers), np.float32)


def checkerboard() -> Interactions:
    """The board as a matrix of 12 readers and 12 books."""
    return Interactions.build(*checkerboard_rows(), shape=(N_BOOKS, N_BOOKS))


def checkerboard_data() -> TrainingData:
    """The board, with the catalogue's texts."""
    return TrainingData(checkerboard(), books_frame())


USERS = ["ann", "bob", "cid", "dee", "eve"]
"""`dee` has met books without liking one; `eve` has met none."""


def small_interactions() -> Interactions:
    """Five readers of the catalogue: two of fantasy, one of crime, and two of no known taste."""
    liked = {0: [0, 1, 3], 1: [0, 1, 2, 4], 2: [7, 8]}
    met = {0: [7], 3: [0, 4]}
    rows = [(u, b, 1.0) for u, books in liked.items() for b in books]
    rows += [(u, b, 0.0) for u, books in met.items() for b in books]
    users, books, weights = zip(*rows, strict=True)
    return Interactions.build(
        np.array(users), np.array(books), np.array(weights, np.float32), (len(USERS), N_BOOKS)
    )


def bundle(book_ids: Sequence[object] | None = None) -> ModelBundle:
    """A served unit over the twelve books, of models that take no time to fit."""
    table = catalogue(book_ids)
    data = TrainingData(small_interactions(), books_frame(table))
    parts = {"item_knn": ItemKnnRecommender(), "content": ContentRecommender()}
    hybrid = HybridRecommender(HybridConfig(weights={"item_knn": 0.7, "content": 0.3}), parts)
    rng = np.random.default_rng(0)
    return ModelBundle(
        hybrid.fit(data, rng=rng),
        PopularityRecommender().fit(data, rng=rng),
        Vocabulary(USERS),
        Vocabulary(table["book_id"].to_numpy()),
        data.interactions,
        table,
    )
