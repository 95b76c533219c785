import numpy as np
import pyarrow as pa
import pytest

from expectations.evidence import come_again, keys_of


@pytest.mark.parametrize("n_distinct", [3, 70_000])
def test_pairs_that_come_again_are_found_however_many_there_are(n_distinct):
    """Of 70,000 readers and books there are more pairs than 32 bits can tell apart."""
    users = np.append(np.arange(n_distinct), [0, 1])
    books = np.append(np.arange(n_distinct), [0, 2])
    keys = keys_of([pa.chunked_array([users[:2], users[2:]]), pa.chunked_array([books])])
    assert keys.dtype == (np.uint32 if n_distinct == 3 else np.int64)
    assert np.flatnonzero(come_again(keys)).tolist() == [0, n_distinct]


def test_null_is_a_value_of_its_own():
    keys = keys_of(
        [pa.chunked_array([["a", None, None, "b"]]), pa.chunked_array([[1, 1, 1, None]])]
    )
    assert come_again(keys).tolist() == [False, True, True, False]


@pytest.mark.parametrize("n", range(4))
def test_few_keys_come_again_too(n):
    assert come_again(np.zeros(n, np.int64)).tolist() == [n > 1] * n
