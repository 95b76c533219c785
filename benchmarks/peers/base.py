"""What the benchmarks ask of a peer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

BookNums = npt.NDArray[np.int32]
Space = Mapping[str, Sequence[Any]]
"""Values worth trying, by the library's own name of the parameter."""

NEIGHBOURS = (2, 3, 5, 10, 20, 50, 100, 200, 500)
SIZES = (32, 64, 128, 256)
REGULARIZATION = (0.01, 0.1, 1.0, 10.0)
POSITIVE_WEIGHTS = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
EPOCHS = (10, 15, 20)


class Peer(ABC):
    """One recommender of another library, fitted on liked books alone as ours are."""

    space: ClassVar[Space]

    def __init__(self, **config: Any) -> None:
        self.config = config

    @abstractmethod
    def prepare(self, liked: sparse.csr_matrix) -> None:
        """Bring the matrix into the library's own form, which is not counted as fitting."""

    @abstractmethod
    def fit(self, *, seed: int) -> None:
        """Learn from what was prepared."""

    @abstractmethod
    def best(self, user_num: int, n: int) -> BookNums:
        """The `n` best books, best first, met ones among them."""

    def unmet(self, user_num: int, met: BookNums, n: int) -> BookNums:
        """The `n` best books that the reader has not met, liked or not."""
        best = self.best(user_num, n + len(met))
        return best[~np.isin(best, met)][:n]
