"""Logs: one JSON object a line on stderr, or readable lines on a terminal."""

import logging
import sys

import structlog


def configure_logging(*, level: int = logging.INFO, json: bool | None = None) -> None:
    """
    Send this process's logs to stderr, so that stdout stays the program's own.

    Args:
        level: The least severe level that is shown.
        json: JSON lines; where None, unless stderr is a terminal.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # One write a line, for processes that share a file.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
