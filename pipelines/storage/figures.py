"""What PostgreSQL tells whoever watches over pipeline and data: the newest of each, and counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from pipelines.storage.tables import AliasMoveRow, DataProfileRow, LoadRow, ModelReleaseRow

MOST = 100
"""Datasets and libraries that are told of: nothing else bounds how many there are."""


@dataclass(frozen=True)
class BatchFigures:
    """The batch of a dataset that was profiled last, refused or not."""

    dataset: str
    made_at: datetime
    accepted: bool
    score: float
    drift: Mapping[str, Any] | None
    """As the report has it; None where there was nothing to compare with."""

    @property
    def columns(self) -> list[tuple[str, float, str]]:
        """Of each column that was compared: name, PSI, level."""
        found = (self.drift or {}).get("columns", ())
        return [(c["column"], c["psi"], c["level"]) for c in found]


@dataclass(frozen=True)
class LibraryFigures:
    """The load that became part of a library last."""

    library: str
    loaded_at: datetime
    ratings: int
    """In the library, since that load."""


@dataclass(frozen=True)
class Figures:
    """How pipeline and data stand."""

    batches: tuple[BatchFigures, ...]
    libraries: tuple[LibraryFigures, ...]
    decisions: Mapping[bool, int]
    """Of the gate for models, by whether it accepted."""
    decided_at: datetime | None
    moves: Mapping[str, int]
    """Of the champion's alias, by action."""

    @classmethod
    def of(cls, session: Session, model: str) -> Self:
        """Read them; `model` is the registered model whose releases count."""
        decided = session.execute(
            select(ModelReleaseRow.accepted, func.count(), func.max(ModelReleaseRow.decided_at))
            .where(ModelReleaseRow.model == model)
            .group_by(ModelReleaseRow.accepted)
        ).all()
        moves = session.execute(
            select(AliasMoveRow.action, func.count().label("moves"))
            .where(AliasMoveRow.model == model)
            .group_by(AliasMoveRow.action)
        )
        return cls(
            batches=_batches(session),
            libraries=_libraries(session),
            decisions={False: 0, True: 0} | {accepted: n for accepted, n, _ in decided},
            decided_at=max((at for *_, at in decided), default=None),
            moves={"promote": 0, "rollback": 0} | {m.action: m.moves for m in moves},
        )


def _batches(session: Session) -> tuple[BatchFigures, ...]:
    row = DataProfileRow
    newest = (
        select(row.dataset, row.made_at, row.accepted, row.score, row.quality["drift"])
        .ext(distinct_on(row.dataset))
        .order_by(row.dataset, row.made_at.desc())
        .limit(MOST)
    )
    return tuple(BatchFigures(*found) for found in session.execute(newest))


def _libraries(session: Session) -> tuple[LibraryFigures, ...]:
    row = LoadRow
    newest = (
        select(row.library, row.loaded_at, row.total)
        .ext(distinct_on(row.library))
        .order_by(row.library, row.number.desc())
        .limit(MOST)
    )
    return tuple(LibraryFigures(*found) for found in session.execute(newest))
