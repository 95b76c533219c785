import asyncio
import json

import pytest
import structlog
from structlog.testing import capture_logs

from pipelines.observability import configure_logging
from serving.telemetry.access_log import GATHER_SECONDS, AccessLog


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


@pytest.mark.anyio
async def test_a_line_that_cannot_be_written_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    configure_logging(json=True)
    try:
        log = AccessLog()
        log.note("GET", "/books", 200, 0.01, "lost", quiet=False)
        with monkeypatch.context() as broken:
            broken.setattr("sys.stderr", None)
            with pytest.raises(AttributeError):
                log.flush()
        log.note("GET", "/books", 200, 0.01, "told", quiet=False)
        await asyncio.sleep(2 * GATHER_SECONDS)
    finally:
        structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["request_id"] == "told"
