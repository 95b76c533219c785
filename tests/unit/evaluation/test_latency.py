import numpy as np
import pytest

from pipelines.data.interactions import History
from pipelines.evaluation import latency
from pipelines.evaluation.latency import MOST_LISTS, WARM_UP, Asked, milliseconds_a_list


class Takes:
    """A model that takes some seconds of a clock for a list, and at first far longer."""

    name = "takes"

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.asked = clock, seconds, 0

    def recommend(self, histories, n):
        self.asked += len(histories)
        self.clock.now += 60 if self.asked <= WARM_UP else self.seconds
        return []


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(latency, "time", clock)
    return clock


@pytest.mark.parametrize("readers", [1, 7, 1000])
def test_the_median_of_a_list_is_measured_after_a_warm_up(clock, readers):
    slow, fast = Takes(clock, 0.03), Takes(clock, 0.01)
    histories = [History.of([0])] * readers
    slow.asked = fast.asked = WARM_UP - min(WARM_UP, readers)
    told = milliseconds_a_list({"a": Asked(slow, histories), "b": Asked(fast, histories)})
    assert told == pytest.approx({"a": 30, "b": 10})
    assert slow.asked == fast.asked == WARM_UP + min(readers, MOST_LISTS)


def test_models_must_be_asked_about_the_same_readers(clock):
    model, one = Takes(clock, 1), [History.of(np.array([0]))]
    for histories in ([], one * 2):
        with pytest.raises(ValueError, match="the same readers"):
            milliseconds_a_list({"a": Asked(model, one), "b": Asked(model, histories)})
    with pytest.raises(ValueError, match="the same readers"):
        milliseconds_a_list({"a": Asked(model, [])})
