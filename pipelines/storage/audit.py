"""The record of acts with power: who did what, on what, how it ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.errors import BookrecError, StorageError
from pipelines.storage.tables import AuditRow
from pipelines.storage.unit_of_work import unit_of_work

log = structlog.get_logger()


@dataclass(frozen=True)
class Act:
    """`actor` is `<kind>:<name>`, `target` what it was done to; neither holds a secret."""

    actor: str
    action: str
    target: str
    request_id: str | None = None


Acting = Callable[[str, str], Act]
"""From an action and its target to what is put on record."""


@dataclass(frozen=True)
class AuditEntry(Act):
    """An act on record; `outcome` is `done`, `failed` or `denied`."""

    outcome: str = ""
    at: datetime | None = None


class AuditLog:
    """What was done, newest first."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, act: Act, outcome: str) -> None:
        """Put an act on record; there with the transaction, or not at all."""
        printable = replace(act, target=_printable(act.target))
        self._session.add(AuditRow(**asdict(printable), outcome=outcome))

    def latest(self, n: int) -> list[AuditEntry]:
        """The last `n` acts."""
        rows = self._session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(n))
        return [
            AuditEntry(row.actor, row.action, row.target, row.request_id, row.outcome, row.at)
            for row in rows
        ]


@contextmanager
def audited(database_url: str, act: Act) -> Iterator[Session]:
    """
    A transaction that commits together with the record of what is done in it.

    An act that fails is on record too. Each is also a line in the log, which those whom the table
    watches may not reach.
    """
    try:
        with unit_of_work(database_url) as session:
            AuditLog(session).add(act, "done")
            yield session
    except StorageError:
        log.warning("act_recorded", **asdict(act), outcome="failed")
        raise
    except BookrecError:
        note(database_url, act, "failed")
        raise
    log.info("act_recorded", **asdict(act), outcome="done")


def note(database_url: str, act: Act, outcome: str) -> None:
    """Put an act on record that changed nothing in the database."""
    log.info("act_recorded", **asdict(act), outcome=outcome)
    with unit_of_work(database_url) as session:
        AuditLog(session).add(act, outcome)


def _printable(text: str) -> str:
    """Whatever a caller named, in signs that a table can hold and a terminal shows as they are."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:500])
