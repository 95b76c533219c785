import numpy as np
import pytest
from scipy import sparse

from pipelines.models.item_weights import (
    inverse_power,
    largest_of_rows,
    largest_products,
    on_all_cores,
    row_blocks,
)


def csr(rows):
    return sparse.csr_array(np.array(rows, np.float32))


def test_largest_entries_of_each_row_stay_in_ascending_columns():
    kept = largest_of_rows(csr([[1, 4, 2, 3], [0, 0, 5, 0], [0, 0, 0, 0]]), 2)
    assert kept.toarray().tolist() == [[0, 4, 0, 3], [0, 0, 5, 0], [0, 0, 0, 0]]
    assert kept.indices.tolist() == [1, 3, 2]
    assert kept.indptr.tolist() == [0, 2, 3, 3]


def test_of_equal_entries_the_first_columns_stay():
    assert largest_of_rows(csr([[1, 2, 1, 1]]), 3).indices.tolist() == [0, 1, 2]


def test_entries_can_be_compared_by_something_else():
    matrix = csr([[-3, 1, 2]])
    assert largest_of_rows(matrix, 1).toarray().tolist() == [[0, 0, 2]]
    assert largest_of_rows(matrix, 1, np.abs(matrix.data)).toarray().tolist() == [[-3, 0, 0]]


def test_unsorted_rows_come_out_sorted():
    unsorted = sparse.csr_array(([1.0, 3.0, 2.0], [2, 0, 1], [0, 3]), shape=(1, 3))
    assert largest_of_rows(unsorted, 2).indices.tolist() == [0, 1]
    assert largest_of_rows(unsorted, 9).data.tolist() == [3, 2, 1]


def whole_product(left, right, k):
    """The same by looking at everything."""
    product = (left @ right).toarray()
    np.fill_diagonal(product, 0)
    return largest_of_rows(sparse.csr_array(product), k)


@pytest.mark.parametrize("rows_at_once", [7, 256])
@pytest.mark.parametrize("k", [1, 5, 100])
def test_largest_products_are_those_of_the_whole_product(k, rows_at_once, monkeypatch):
    """Ties and the diagonal included, however many rows are looked at at once."""
    monkeypatch.setattr("pipelines.models.item_weights.PRODUCT_CELLS", rows_at_once * 50)
    rng = np.random.default_rng(0)
    left, right = (csr(rng.integers(0, 3, (50, 50)) * (rng.random((50, 50)) < 0.3)) for _ in "lr")
    whole = whole_product(left, right, k)
    largest = largest_products(left, right, k)
    assert largest.dtype == np.float32
    assert largest.indptr.tolist() == whole.indptr.tolist()
    assert largest.indices.tolist() == whole.indices.tolist()
    assert largest.data.tolist() == whole.data.tolist()


def test_nothing_is_divided_by_nothing():
    got = inverse_power(np.array([4.0, 0.0, 1.0]), 0.5)
    assert got == pytest.approx([0.5, 0, 1])
    assert got.dtype == np.float32


@pytest.mark.parametrize("n_rows", [0, 1, 256, 257])
def test_blocks_cover_every_row_once(n_rows):
    rows = np.arange(n_rows)
    assert np.concatenate([rows[:0], *(rows[b] for b in row_blocks(n_rows))]).tolist() == [*rows]


def test_results_of_all_cores_come_in_order():
    assert list(on_all_cores(lambda n: n * n, range(50))) == [n * n for n in range(50)]
