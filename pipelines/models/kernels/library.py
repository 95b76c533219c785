"""The compiled functions: which library of them, and how arrays of NumPy are handed over."""

import ctypes
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import KernelsMissingError

FOLDER = Path(__file__).parent

Array = npt.NDArray[Any]


class Lying:
    """
    How arrays of one type are handed over; they are kept as long as the call takes.

    Raises:
        TypeError: an array is of another type, or does not lie in one piece; of arguments, ctypes
            makes an ArgumentError of it.
    """

    def __init__(self, kind: type[np.generic]) -> None:
        self.kind = np.dtype(kind)

    def from_param(self, array: Array | None) -> ctypes.c_void_p:
        """Called by ctypes for each argument."""
        return ctypes.c_void_p(None if array is None else self.address(array))

    def address(self, array: Array) -> int:
        """Where it lies in memory."""
        flags = array.flags
        if array.dtype != self.kind or not flags.c_contiguous:
            raise TypeError(f"a contiguous array of {self.kind} is needed")
        if flags.writeable and array.size:
            return ctypes.addressof(ctypes.c_char.from_buffer(array.data))  # a quarter of the time
        return array.ctypes.data


FLOATS, DOUBLES, INTS = Lying(np.float32), Lying(np.float64), Lying(np.int32)
LONGS, BOOLS = Lying(np.int64), Lying(np.bool_)
_long, _double, _float, _int = ctypes.c_int64, ctypes.c_double, ctypes.c_float, ctypes.c_int
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "sums_of_rows": (
        _int,
        [
            *[_long, LONGS, INTS, FLOATS, DOUBLES, LONGS, _long, _long],
            *[ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, FLOATS],
        ],
    ),
    "cells_of_rows": (
        _int,
        [
            *[_long, INTS, _long, INTS, _long, _long],
            *[ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, FLOATS],
        ],
    ),
    "products": (None, [_long, _long, _long, FLOATS, FLOATS, FLOATS]),
    "factors_of_readers": (
        None,
        [_long, _long, FLOATS, LONGS, INTS, DOUBLES, DOUBLES, FLOATS],
    ),
    "blend": (
        _long,
        [
            *[_long, _long, _int, ctypes.c_void_p, DOUBLES, BOOLS, LONGS, INTS],
            *[INTS, _long, _double, _float, FLOATS, FLOATS, FLOATS],
        ],
    ),
    "knows_v3": (_int, []),
    "best": (_long, [_long, FLOATS, _long, INTS]),
}
"""What each function gives and takes."""

SHORT = frozenset({"best", "knows_v3"})
"""Of microseconds: whoever gave Python's lock away for these would wait longer to have it back."""


@lru_cache(1)
def library() -> Any:
    """Of what was compiled, the best that this processor knows."""
    for_any = opened("scoring.so")
    return opened("scoring-v3.so") if for_any.knows_v3() else for_any


def opened(name: str) -> Any:
    """
    The compiled functions of a library, by name.

    Raises:
        KernelsMissingError: they were never compiled, or for another kind of machine.
    """
    path = str(FOLDER / name)
    try:
        unlocked, locked = ctypes.CDLL(path), ctypes.PyDLL(path)
        functions = SimpleNamespace()
        for function_name, (gives, takes) in SIGNATURES.items():
            function = getattr(locked if function_name in SHORT else unlocked, function_name)
            function.restype, function.argtypes = gives, takes
            setattr(functions, function_name, function)
    except (OSError, AttributeError) as error:
        raise KernelsMissingError(path, sysconfig.get_platform()) from error
    return functions
