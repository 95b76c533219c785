"""The lines of a block of text, and which of them hold what: all by NumPy, without a loop."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

Nums = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class Lines:
    """A block of whole lines, each with its line feed."""

    def __init__(self, block: bytes) -> None:
        self.block = block
        self._signs = np.frombuffer(block, np.uint8)
        self.ends: Nums = np.flatnonzero(self._signs == ord("\n")) + 1
        self.starts: Nums = np.append(0, self.ends)[:-1].astype(np.intp)

    def __len__(self) -> int:
        return len(self.ends)

    def line(self, at: int) -> bytes:
        """A line, with its line feed."""
        return self.block[self.starts[at] : self.ends[at]]

    def joined(self, chosen: Nums) -> bytes:
        """The chosen lines, which ascend, as one text."""
        if len(chosen) == len(self):
            return self.block
        seams = np.flatnonzero(np.diff(chosen) != 1)
        firsts, lasts = np.append(-1, seams) + 1, np.append(seams, len(chosen) - 1)
        if not len(chosen):
            return b""
        starts, ends = self.starts[chosen[firsts]].tolist(), self.ends[chosen[lasts]].tolist()
        return b"".join(self.block[start:end] for start, end in zip(starts, ends, strict=True))

    def blank(self, signs: bytes) -> Mask:
        """Which lines hold nothing but these signs."""
        mask = np.isin(self._signs[self.starts], np.frombuffer(signs + b"\n", np.uint8))
        likely = np.flatnonzero(mask)
        mask[likely] = [not self.line(at).strip(signs + b"\n") for at in likely.tolist()]
        return mask

    def with_odd_quotes(self) -> Nums:
        """Lines in which a quote has no partner."""
        if b'"' not in self.block:
            return np.empty(0, np.intp)
        before = np.searchsorted(self._quotes, np.append(self.starts, len(self.block)))
        return np.flatnonzero(np.diff(before) % 2)

    def with_escaped_quotes(self) -> Nums:
        """Lines with a quote behind a backslash."""
        if b'"' not in self.block or b'\\"' not in self.block:
            return np.empty(0, np.intp)
        quotes = self._quotes[self._quotes > 0]
        return self._lines_of(quotes[self._signs[quotes - 1] == ord("\\")])

    def with_quotes_or_escapes(self) -> Nums:
        """Lines with any quote or backslash."""
        escapes = np.flatnonzero(self._signs == ord("\\"))
        return self._lines_of(np.sort(np.concatenate([self._quotes, escapes])))

    @cached_property
    def _quotes(self) -> Nums:
        return np.flatnonzero(self._signs == ord('"'))

    def _lines_of(self, places: Nums) -> Nums:
        return np.unique(np.searchsorted(self.ends, places, side="right"))
