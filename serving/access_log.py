"""One line in the log for each request that was answered, or for a share of them."""

import random

import structlog

SLOW_SECONDS = 1.0
"""What took longer is always logged, and so is what was not answered as asked."""


class AccessLog:
    """
    Logs requests.

    Args:
        share: Of the ordinary ones, drawn at random; their lines say it, to be multiplied by.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        # Bound once: to look for the configuration takes a third of the time of a line.
        self._log = structlog.get_logger().bind()

    def note(self, method: str, route: str, status: int, seconds: float, *, quiet: bool) -> None:
        """
        Log one request, if it is drawn.

        Args:
            method: Of HTTP.
            route: The template of the path.
            status: As it was answered.
            seconds: Until then.
            quiet: Whether it is of no interest but to those who look for defects.
        """
        sampled = {}
        if self._share < 1 and status < 400 and seconds <= SLOW_SECONDS:
            if random.random() >= self._share:  # noqa: S311 - no secret
                return
            sampled = {"share": self._share}
        write = self._log.debug if quiet else self._log.info
        write(
            "request_answered",
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 2),
            **sampled,
        )
