"""Unit vectors in a FAISS index that is built once, then only searched."""

from pathlib import Path
from typing import Self

import faiss
import numpy as np
import numpy.typing as npt

from pipelines.errors import ArtifactError

Vectors = npt.NDArray[np.float32]


class VectorIndex:
    """
    Exact inner-product search over rows of vectors.

    There is deliberately no way to add a row: adding to a memory-mapped index does not raise, it
    aborts the process. Build a new index instead.
    """

    def __init__(self, index: faiss.IndexFlatIP) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: Vectors) -> Self:
        """From rows of shape (n, size); n may be 0."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors, np.float32))
        return cls(index)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def size(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def search(self, vector: Vectors, n: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Rows with the largest inner products and these products, largest first."""
        n = min(n, len(self))
        if n == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        # OpenMP keeps this number by thread. Its threads cost a single query more than they give.
        faiss.omp_set_num_threads(1)
        products, rows = self._index.search(np.asarray(vector, np.float32)[np.newaxis], n)
        return rows[0], products[0]

    def products(self, vector: Vectors) -> Vectors:
        """The inner product with every row, shape (n,)."""
        query = np.ascontiguousarray(vector, np.float32)
        products = np.empty(len(self), np.float32)
        # NumPy would copy all vectors first: in a mapped file they do not stand aligned.
        faiss.fvec_inner_products_ny(  # type: ignore[attr-defined] # made when FAISS loads
            faiss.swig_ptr(products),
            faiss.swig_ptr(query),
            self._index.get_xb(),
            self.size,
            len(self),
        )
        return products

    def vectors(self, rows: npt.NDArray[np.integer]) -> Vectors:
        """Copies of some rows."""
        return self._index.reconstruct_batch(np.asarray(rows, np.int64))

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, path: Path) -> Self:
        """
        Map a saved index into memory, shared between processes.

        Raises:
            ArtifactError: the file holds no such index.
        """
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError:
            raise ArtifactError(f"{path} is no FAISS index: train the model again") from None
        if not isinstance(index, faiss.IndexFlatIP):
            raise ArtifactError(f"{path} is a {type(index).__name__}, not an IndexFlatIP")
        return cls(index)
