import numpy as np
import pytest

from pipelines.errors import EmbeddingError
from pipelines.models.embeddings.base import checked


def test_rows_come_out_at_unit_length():
    vectors = checked("p", [[3, 4], [0, 0.1]], 2)
    assert vectors.dtype == np.float32
    assert vectors == pytest.approx(np.array([[0.6, 0.8], [0, 1]]))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([[1.0, 2.0], [1.0]], "unequal length"),
        ([[1.0, "x"]], "unequal length"),
        ([[1.0, 2.0]] * 3, "shape"),
        ([1.0, 2.0], "shape"),
        ([[], []], "shape"),
        ([[1.0, float("nan")], [1.0, 1.0]], "not finite"),
        ([[1.0, float("inf")], [1.0, 1.0]], "not finite"),
        ([[0.0, 0.0], [1.0, 1.0]], "zeros"),
    ],
)
def test_what_is_no_embedding_is_refused(answer, reason):
    with pytest.raises(EmbeddingError, match=reason):
        checked("p", answer, 2 if len(answer) != 1 else 1)
