"""The history of an alias: which version it left, which it went to, by whom and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pipelines.storage.tables import AliasMoveRow

Action = Literal["promote", "rollback"]


@dataclass(frozen=True)
class AliasMove:
    """A move that was decided; `moved_at` tells when the alias had moved, None that it may not."""

    number: int
    action: Action
    from_version: int | None
    to_version: int
    who: str
    why: str
    at: datetime
    moved_at: datetime | None


class AliasMoves:
    """The moves of one alias of one model."""

    def __init__(self, session: Session, model: str, alias: str) -> None:
        self._session = session
        self._model = model
        self._alias = alias

    def all(self) -> list[AliasMove]:
        """Every move, newest first."""
        rows = self._session.scalars(
            select(AliasMoveRow)
            .where(AliasMoveRow.model == self._model, AliasMoveRow.alias == self._alias)
            .order_by(AliasMoveRow.number.desc())
        )
        return [_move(row) for row in rows]

    def record(
        self, action: Action, from_version: int | None, to_version: int, *, who: str, why: str
    ) -> AliasMove:
        """Put on record what is about to be done."""
        row = AliasMoveRow(
            model=self._model,
            alias=self._alias,
            action=action,
            from_version=from_version,
            to_version=to_version,
            who=who,
            why=why,
        )
        self._session.add(row)
        self._session.flush()
        return _move(row)

    def complete(self, number: int) -> None:
        """Put on record that the alias has moved; the first time counts."""
        pending = update(AliasMoveRow).where(
            AliasMoveRow.number == number, AliasMoveRow.moved_at.is_(None)
        )
        self._session.execute(pending.values(moved_at=func.clock_timestamp()))


def _move(row: AliasMoveRow) -> AliasMove:
    action: Action = row.action  # type: ignore[assignment] # the column holds nothing else
    return AliasMove(
        row.number,
        action,
        row.from_version,
        row.to_version,
        row.who,
        row.why,
        row.at,
        row.moved_at,
    )
