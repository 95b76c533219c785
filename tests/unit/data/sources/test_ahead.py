import threading

import pytest
import structlog

from pipelines.data.sources.ahead import read_ahead, worked_ahead


def test_items_come_in_their_order_each_once():
    assert list(read_ahead(iter(range(100)))) == list(range(100))
    assert list(read_ahead([])) == []
    assert list(read_ahead([None, None])) == [None, None]


def test_the_next_item_is_made_while_the_one_before_is_used():
    made = [threading.Event() for _ in range(3)]

    def items():
        for event in made:
            event.set()
            yield event

    for nth, _ in enumerate(read_ahead(items())):
        assert all(event.wait(10) for event in made[: nth + 2])
        assert not any(event.is_set() for event in made[nth + 2 :])


def test_an_error_comes_up_behind_the_items_before_it():
    def items():
        yield 1
        raise KeyError("x")

    found = read_ahead(items())
    assert next(found) == 1
    with pytest.raises(KeyError):
        next(found)


def test_the_thread_ends_with_the_reading_also_where_it_is_broken_off():
    found = read_ahead(iter(range(100)))
    next(found)
    found.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("read-ahead")]


def test_logs_tell_of_the_same_run():
    def items():
        yield structlog.contextvars.get_contextvars()

    with structlog.contextvars.bound_contextvars(run_id="r"):
        assert list(read_ahead(items())) == [{"run_id": "r"}]


def test_work_on_the_next_items_is_under_way_while_one_is_used():
    def work(nth):
        begun[nth].set()
        return nth * nth

    begun = [threading.Event() for _ in range(5)]
    for nth, (item, found) in enumerate(worked_ahead(work, range(5))):
        assert (item, found.result(10)) == (nth, nth * nth)
        assert all(event.wait(10) for event in begun[: nth + 3])
        assert not any(event.is_set() for event in begun[nth + 3 :])


def test_work_that_fails_says_so_where_it_is_asked_for():
    tens = [10 // 5, None, 10 // 2]
    found = [future for _, future in worked_ahead((10).__floordiv__, [5, 0, 2])]
    assert [None if each.exception() else each.result() for each in found] == tens
    with pytest.raises(ZeroDivisionError):
        found[1].result()


def test_threads_at_work_end_where_it_is_broken_off():
    found = worked_ahead(str, range(100))
    next(found)
    found.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("work-ahead")]
