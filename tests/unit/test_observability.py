import json
from pathlib import Path

import pytest
import structlog

from pipelines.observability import configure_logging


@pytest.fixture(autouse=True)
def _configuration():
    before = structlog.get_config()
    yield
    structlog.configure(**before)


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
