import pytest
from structlog.testing import capture_logs

from serving.telemetry.access_log import AccessLog


def lines(share: float, *, n: int = 1, status: int = 200, seconds: float = 0.01) -> list[dict]:
    with capture_logs() as logs:
        for _ in range(n):
            AccessLog(share).note("GET", "/books", status, seconds, "r-1", quiet=False)
    return logs


def test_every_request_is_logged_where_nothing_else_is_asked_for():
    assert lines(1.0) == [
        {
            "event": "request_answered",
            "log_level": "info",
            "method": "GET",
            "route": "/books",
            "status": 200,
            "milliseconds": 10.0,
            "request_id": "r-1",
        }
    ]


def test_of_a_share_about_so_many_are_logged_and_say_it():
    logged = lines(0.25, n=2000)
    assert 350 < len(logged) < 650
    assert {line["share"] for line in logged} == {0.25}


@pytest.mark.parametrize("what", [{"status": 400}, {"status": 503}, {"seconds": 1.1}])
def test_errors_and_slow_requests_are_always_logged_and_stand_for_themselves(what):
    (line,) = lines(0.0, **what)
    assert "share" not in line
