"""What the stages tell others: refused data here, everything else where it is decided."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from pipelines.errors import BookrecError, DataQualityError, StorageError
from pipelines.events import BatchRefused
from pipelines.stages.run_context import RunContext
from pipelines.storage.outbox import Outbox
from pipelines.webhooks.delivery import Courier

log = structlog.get_logger()

TELLS = ("validate", "profile", "store", "preprocess", "promote")
"""The stages in which something may happen that others want to know."""
SECONDS = 10.0
"""So much longer such a stage may take to send it at once; the rest waits for the next delivery."""


@contextmanager
def announcing(ctx: RunContext, stage: str) -> Iterator[None]:
    """Tell of data that the block refuses, and send at its end what it has to tell."""
    try:
        yield
    except DataQualityError as refused:
        _tell(ctx, batch_refused(ctx, refused.suite, len(refused.failed), refused.report))
        raise
    finally:
        if stage in TELLS:
            _send(ctx)


def batch_refused(ctx: RunContext, suite: str, failed: int, report: str) -> BatchRefused:
    """The same event whichever stage tells of it first."""
    return BatchRefused(
        occasion=f"{ctx.params.dataset}/{ctx.run_id}",
        dataset=ctx.params.dataset,
        run_id=ctx.run_id,
        suite=suite,
        failed=failed,
        report=report,
    )


def _tell(ctx: RunContext, event: BatchRefused) -> None:
    try:
        with ctx.unit_of_work() as session:
            Outbox(session).write(event)
    except BookrecError as error:  # the refusal itself must be what is heard of
        log.warning("event_lost", type=event.type, reason=str(error))


def _send(ctx: RunContext) -> None:
    if ctx.settings.database_url is None:
        return
    try:
        Courier.of(ctx.settings).deliver_due(SECONDS)
    except StorageError as error:
        log.warning("webhooks_postponed", reason=str(error))
