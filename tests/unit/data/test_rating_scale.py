import numpy as np
import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from pipelines.data.rating_scale import infer_scale, liked_threshold, preference


@pytest.mark.parametrize(
    ("ratings", "scale"),
    [
        ([1, 2, 5], (1, 5)),
        ([0.5, 5], (0, 5)),
        ([0, 1], (0, 1)),
        ([1, 1], (0, 1)),
        ([0, 7, 10], (0, 10)),
        ([1, 7], (1, 10)),
        ([55, 100], (1, 100)),
        ([3, 4000], (1, 4000)),
        ([-10, 3, 7], (-10, 10)),
        ([-50, -20], (-100, 100)),
        ([], (0, 1)),
        ([np.nan], (0, 1)),
    ],
)
def test_scale_is_the_smallest_usual_one(ratings, scale):
    assert infer_scale(pa.array(ratings, pa.float64())) == scale


@pytest.mark.parametrize("stray", [0.0, -3.0, 55.0])
def test_one_stray_rating_in_a_thousand_does_not_change_the_scale(stray):
    assert infer_scale(pa.array([stray, *[1, 2, 3, 4, 5] * 200], pa.float64())) == (1, 5)


def test_three_strays_in_a_small_file_do_not_change_the_scale():
    assert infer_scale(pa.array([55.0] * 3 + [1, 2, 3, 4, 5] * 60)) == (1, 5)
    assert infer_scale(pa.array([55.0] * 4 + [1, 2, 3, 4, 5] * 60)) == (1, 100)


def test_four_stars_are_liked_and_three_are_not():
    weights = preference(np.array([3, 4, 5, np.nan]), (1, 5))
    assert weights.tolist() == [0, 1, 1, 1]
    assert weights.dtype == np.float32
    assert liked_threshold((1, 10)) == pytest.approx(7.3)


def test_counts_mistaken_for_ratings_all_count_as_positive():
    counts = np.array([1.0] * 98 + [4000.0] * 2)
    with capture_logs() as logs:
        assert preference(counts, infer_scale(pa.array(counts))).all()
    assert [entry["event"] for entry in logs] == ["scale_gives_few_likes"]


def test_implicit_positives_alone_need_no_warning():
    with capture_logs() as logs:
        assert preference(np.full(3, np.nan), (0, 1)).tolist() == [1, 1, 1]
    assert logs == []
