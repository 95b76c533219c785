"""
Memory that is used again: to touch a fresh page costs more than all that is then written there.

A score matrix is as fresh as any other array, and may be kept, cut and changed; its memory comes
back once nothing refers to it any more.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

SMALL_BYTES = 2**17
"""Up to here the allocator does the same."""
KEPT_BYTES = 2**26
"""How much lies idle at most, in a process."""

FLOAT = np.dtype(np.float32).str

_idle: dict[int, list[npt.NDArray[np.uint8]]] = {}
"""By size. Steps on it are single ones, so any number of threads may take them."""


class _Loan:
    """Some memory, while an array or a view of it lives."""

    def __init__(self, shape: tuple[int, ...], n_bytes: int) -> None:
        self.size = 1 << (n_bytes - 1).bit_length()  # few sizes; of the rest no page is touched
        try:
            self.memory = _idle[self.size].pop()
        except (KeyError, IndexError):
            self.memory = np.empty(self.size, np.uint8)
        interface: dict[str, Any] = self.memory.__array_interface__
        self.__array_interface__ = interface | {"shape": shape, "typestr": FLOAT, "strides": None}

    def __del__(self) -> None:
        idle = sum(size * len(each) for size, each in list(_idle.items()))
        if idle + self.size <= KEPT_BYTES:
            _idle.setdefault(self.size, []).append(self.memory)


def fresh(*shape: int) -> npt.NDArray[np.float32]:
    """An array of float32 that holds anything."""
    n_bytes = 4 * math.prod(shape)
    if n_bytes <= SMALL_BYTES:
        return np.empty(shape, np.float32)
    return np.asarray(_Loan(shape, n_bytes))
