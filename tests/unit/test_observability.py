import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from pipelines.observability import adopt_library_logs, configure_logging


@pytest.fixture(autouse=True)
def _configuration():
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def library() -> Iterator[logging.Logger]:
    """A logger that writes lines of its own, in a process that has a handler as well."""
    root, logger = logging.getLogger(), logging.getLogger("library")
    before = root.handlers
    logger.addHandler(logging.StreamHandler())
    logger.propagate = False
    yield logger
    root.handlers, logger.handlers = before, []


@pytest.mark.parametrize(
    "value",
    ["plain", "schön", "half \ud83d", b"\xff", Path("here"), float("inf"), {"a": [1, None]}],
)
def test_a_line_is_an_object_whatever_stands_in_it(capsys: pytest.CaptureFixture, value: object):
    configure_logging(json=True)
    structlog.get_logger().info("said", value=value)
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["timestamp"][-1]) == ("said", "info", "Z")
    if isinstance(value, str | float | dict):
        assert told["value"] == value
    assert told["service"] == "bookrec"


def test_what_libraries_log_has_the_same_shape(
    capsys: pytest.CaptureFixture, library: logging.Logger
):
    configure_logging(json=True, service="serving")
    adopt_library_logs("library", json=True, service="serving")
    with structlog.contextvars.bound_contextvars(request_id="abc"):
        structlog.get_logger().warning("said")
        library.error("It failed: %s", "so", exc_info=ValueError("why"))
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert theirs["event"] == "It failed: so"
    assert (theirs["level"], theirs["logger"]) == ("error", "library")
    assert "ValueError: why" in theirs["exception"]
    for name in ("service", "request_id"):
        assert ours[name] == theirs[name]
    assert set(ours) < set(theirs)


def test_on_a_terminal_lines_are_for_people(capsys: pytest.CaptureFixture, library: logging.Logger):
    configure_logging(json=False)
    adopt_library_logs("library", json=False, service="serving")
    structlog.get_logger().info("said")
    library.warning("It is late")
    ours, theirs = capsys.readouterr().err.splitlines()
    assert "said" in ours
    assert "It is late" in theirs
    assert "service" not in ours + theirs
