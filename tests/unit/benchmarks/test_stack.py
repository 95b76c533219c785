import psutil
import pytest

from benchmarks.load import Load
from benchmarks.stack import ALONE, TWO, report


def seen(rate: float, cpu: float, driver: float) -> Load:
    return Load(rate, cpu, driver, p50=1, p99=2, failed=0, connections=32)


@pytest.mark.parametrize(
    ("cores", "most"),
    [
        (2, 1.6),  # 2 cores / (1,200 + 50) µs, of 1 replica / 1,000 µs
        (8, 2.0),  # two replicas are not more than twice one
        (1, 0.84),  # which leaves none to the driver: (1 / 1,250) / (1 / 1,050)
    ],
)
def test_what_cores_allow_is_worked_out_of_what_a_request_takes(
    monkeypatch: pytest.MonkeyPatch, cores: int, most: float
):
    monkeypatch.setattr(psutil, "cpu_count", lambda: cores)
    told = report({ALONE: [seen(500, 1000, 50)], TWO: [seen(650, 1200, 50)]})
    assert told[TWO]["allowed"]["median"] == pytest.approx(most)
    assert told[TWO]["speed"]["median"] == pytest.approx(1.3)


def test_who_waits_as_long_as_it_is_told_asks_half_as_often():
    full = seen(1_000, 1000, 50)  # 32 connections: 32 ms from one request to the next
    assert full.pause_for_half == 64
