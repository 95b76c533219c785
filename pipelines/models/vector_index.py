"""Unit vectors in a FAISS index that is built once, then only searched."""

from pathlib import Path
from typing import Any, Literal, Self

import faiss
import numpy as np
import numpy.typing as npt
import structlog
from pydantic import Field

from pipelines.errors import ArtifactError
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import ModelConfig

log = structlog.get_logger()

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

FILE = "index.faiss"
KIND = "vector_index"
APPROXIMATE_FROM = 50_000
RECALL_FLOOR = 0.95
RECALL_AT = 10
RECALL_SAMPLE = 200
LINKS = 32
"""Of each row in the graph (M); more cost memory, fewer cost recall."""
BUILD_EFFORT = 80
SEARCH_EFFORTS = (64, 128, 256, 512)
"""How many rows a search of the graph keeps in view (efSearch); the first that suffices is kept."""
NOTHING = -1
"""What FAISS writes as a row where a graph found fewer than asked for."""


class IndexFacts(ModelConfig):
    """What is known of an index; stands in its manifest."""

    kind: Literal["flat", "hnsw"] = "flat"
    """Every row is looked at, or a graph of near rows is followed."""
    recall: float = Field(1.0, ge=0, le=1)
    """Share of the true ten nearest rows that a search finds, over a sample of rows."""
    search_effort: int = Field(0, ge=0)
    """Of a graph; 0 for a flat index."""
    provider: str = ""
    model: str = ""
    """Who made the vectors, for they are at home in no other space."""


class VectorIndex:
    """
    Inner-product search over rows of vectors: exact when small, by a graph when large.

    There is deliberately no way to add a row: adding to a memory-mapped index does not raise, it
    aborts the process. Build a new index instead.
    """

    def __init__(self, index: Any, facts: IndexFacts) -> None:
        """
        Args:
            index: An IndexFlatIP or IndexHNSWFlat of FAISS, which gives its types no members.
            facts: Which of them it is, among others.
        """
        self._index = index
        self.facts = facts

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        *,
        provider: str = "",
        model: str = "",
        approximate_from: int = APPROXIMATE_FROM,
        recall_floor: float = RECALL_FLOOR,
    ) -> Self:
        """
        From rows of shape (n, size); n may be 0.

        A graph that misses `recall_floor` even at the greatest effort is given up for a flat index.
        """
        facts = IndexFacts(provider=provider, model=model)
        vectors = np.ascontiguousarray(vectors, np.float32)
        if len(vectors) >= approximate_from and len(vectors):
            graph = cls(_graph(vectors), facts)
            if graph._tuned(recall_floor):
                return graph
            log.warning("approximate_index_given_up", recall=graph.facts.recall, rows=len(vectors))
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return cls(index, facts)

    def _tuned(self, recall_floor: float) -> bool:
        """Raise the effort until enough is found; whether that was reached."""
        recall = 0.0
        for effort in SEARCH_EFFORTS:
            self._index.hnsw.efSearch = effort
            recall = self._recall()
            if recall >= recall_floor:
                break
        facts = {"kind": "hnsw", "recall": round(recall, 4), "search_effort": effort}
        self.facts = self.facts.model_copy(update=facts)
        log.info("vector_index_built", rows=len(self), **facts)
        return recall >= recall_floor

    def _recall(self) -> float:
        """Rows that are as near as the true ones count as found: equal texts are equal rows."""
        sample = np.linspace(0, len(self) - 1, min(RECALL_SAMPLE, len(self))).astype(np.int64)
        queries, n = self.vectors(sample), min(RECALL_AT + 1, len(self))
        _, found = self.search(queries, n)
        exact, _ = faiss.downcast_index(self._index.storage).search(queries, n)
        return float((found >= exact[:, -1:] - 1e-6).mean())

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def size(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def search(self, vectors: Vectors, n: int) -> tuple[Rows, Vectors]:
        """
        Rows with the largest inner products and these products, largest first.

        Both of shape (n_queries, min(n, n_rows)); where a graph found fewer, -1 and -inf.
        """
        n = min(n, len(self))
        if n == 0 or not len(vectors):
            return np.empty((len(vectors), n), np.int64), np.empty((len(vectors), n), np.float32)
        # OpenMP keeps this number by thread. Its threads cost a single query more than they give.
        faiss.omp_set_num_threads(1)
        products, rows = self._index.search(np.ascontiguousarray(vectors, np.float32), n)
        products[rows == NOTHING] = -np.inf
        return rows, products

    def vectors(self, rows: npt.NDArray[np.integer]) -> Vectors:
        """Copies of some rows."""
        return self._index.reconstruct_batch(np.asarray(rows, np.int64))

    def save(self, folder: Path) -> None:
        """Write the index as an artifact of its own."""

        def write(path: Path) -> None:
            faiss.write_index(self._index, str(path))

        write_artifact(folder, KIND, self.facts, {}, {FILE: write})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """
        Map a saved index into memory, shared between processes.

        Raises:
            ArtifactError: the folder holds no such index.
        """
        facts = read_artifact(folder, KIND).config_as(IndexFacts)
        path = folder / FILE
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError:
            raise ArtifactError(f"{path} is no FAISS index: train the model again") from None
        expected = faiss.IndexFlatIP if facts.kind == "flat" else faiss.IndexHNSWFlat
        if not isinstance(index, expected):
            raise ArtifactError(f"{path} is a {type(index).__name__}, not an {expected.__name__}")
        return cls(index, facts)


def _graph(vectors: Vectors) -> faiss.IndexHNSWFlat:
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_EFFORT
    # With more threads the links would depend on which of them comes first.
    faiss.omp_set_num_threads(1)
    index.add(vectors)
    return index
