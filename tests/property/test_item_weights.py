"""Laws of which weights a model keeps, whatever they are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import sparse

from pipelines.models.item_weights import largest_of_rows

FEW_VALUES = st.sampled_from([0.0, -1.0, 1.0, 2.0])
MATRICES = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=FEW_VALUES
)


@given(MATRICES, st.integers(1, 13))
def test_the_k_largest_of_each_row_are_kept(dense, k):
    """By value, then by column: exactly those, however many are equal."""
    kept = largest_of_rows(sparse.csr_array(dense), k)
    for row, numbers in enumerate(dense):
        stored = np.flatnonzero(numbers)
        first = stored[np.argsort(-numbers[stored], kind="stable")[:k]]
        entries = slice(kept.indptr[row], kept.indptr[row + 1])
        assert kept.indices[entries].tolist() == sorted(first.tolist())
        assert kept.data[entries].tolist() == numbers[np.sort(first)].tolist()
