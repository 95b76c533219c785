"""What the compiled kernels must give, written to be read: the oracle of test_kernels.py."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse


def sums_of_rows(matrix, rows, weights, totals):
    """Rows of a CSR matrix by weights, added in their order; -inf where that is 0 as float32."""
    scores = np.empty((len(rows), matrix.shape[1]), np.float32)
    for out, nums, some, total in zip(scores, rows, weights, totals, strict=True):
        sums = np.zeros(matrix.shape[1])
        for num, weight in zip(nums, some, strict=True):
            cells = slice(matrix.indptr[num], matrix.indptr[num + 1])
            sums[matrix.indices[cells]] += matrix.data[cells].astype(np.float64) * float(weight)
        out[:] = sums / total
        out[out == 0] = -np.inf
    return scores


def factors_of_reader(factors, nums, above):
    """(I + Z^T D Z)^-1 Z^T (1 + d) in float64."""
    z = factors[nums].astype(np.float64)
    normal = np.eye(factors.shape[1]) + (z.T * above) @ z
    return np.linalg.solve(normal, z.T @ (1 + above))


def normalised(scores, seen):
    """On a scale from the least to the most of unseen books; None where nothing is said of any."""
    unseen = scores.copy()
    unseen[seen] = -np.inf
    said = unseen[np.isfinite(unseen)]
    if not len(said):
        return None
    low, high = said.min(), said.max()
    if high - low < np.finfo(np.float32).tiny:
        return np.isfinite(scores).astype(np.float32)
    with np.errstate(over="ignore"):  # of books already met, far beyond a narrow scale
        return np.sqrt(np.clip((scores - low) * (1 / (high - low)), 0, 1))


def blend(scores: Sequence[np.ndarray], weights, knows_new, seen, *, new, lift, thresholds, knob):
    """The weighted mean over the parts that say something, lifted and damped."""
    units = [normalised(one, seen) for one in scores]
    heard = [num for num, unit in enumerate(units) if unit is not None and weights[num]]
    total = np.zeros_like(scores[0])
    for num in heard:
        total += np.float32(weights[num]) * units[num]
    every = sum(weights[num] for num in heard)
    total /= np.float32(every or 1)
    silent = [scores[num] == -np.inf for num in heard]
    total[np.logical_and.reduce([np.ones(len(total), bool), *silent])] = -np.inf
    if lift:
        able = sum(weights[num] for num in heard if knows_new[num])
        lifts = np.float32(1 + lift * (every / able - 1) if able else 1)
        total[new] = np.minimum(total[new] * lifts, 1)
    return total - np.float32(knob) * thresholds if knob else total


def best(scores, n):
    """A full sort."""
    return sorted(np.flatnonzero(np.isfinite(scores)), key=lambda num: (-scores[num], num))[:n]


def csr(dense) -> sparse.csr_array:
    """With sorted columns, as models keep it."""
    matrix = sparse.csr_array(np.asarray(dense, np.float32))
    matrix.sort_indices()
    return matrix
