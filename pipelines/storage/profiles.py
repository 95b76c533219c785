"""What is kept of every batch: its profile, and what the gate made of it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from pipelines.storage.tables import DataProfileRow


@dataclass(frozen=True)
class BatchProfile:
    """What was found out about one batch."""

    dataset: str
    run_id: str
    accepted: bool
    score: float
    quality: dict[str, Any]
    """For people: parts, reasons, warnings, drift, and where the report lies."""
    profile: dict[str, Any]
    """For machines: what later batches are compared with."""
    made_at: datetime | None = None
    stored_at: datetime | None = None
    """When the batch became part of the library; None if it never did."""


class ProfileRepository:
    """Profiles of batches, one a run of a dataset."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def record(self, found: BatchProfile) -> None:
        """Store a profile in the place of what the same run recorded before."""
        row = DataProfileRow(
            dataset=found.dataset,
            run_id=found.run_id,
            accepted=found.accepted,
            score=found.score,
            quality=found.quality,
            profile=found.profile,
        )
        self._session.execute(delete(DataProfileRow).where(*_of_run(found.dataset, found.run_id)))
        self._session.add(row)

    def mark_stored(self, dataset: str, run_id: str) -> None:
        """Note that the batch is part of the library from this transaction on."""
        statement = update(DataProfileRow).where(*_of_run(dataset, run_id))
        self._session.execute(statement.values(stored_at=func.now()))

    def previous(self, dataset: str, run_id: str) -> BatchProfile | None:
        """The accepted batch that another run was the last to store; additions do not count."""
        row = self._session.scalars(
            select(DataProfileRow)
            .where(
                DataProfileRow.dataset == dataset,
                DataProfileRow.run_id != run_id,
                DataProfileRow.accepted,
                DataProfileRow.stored_at.is_not(None),
                DataProfileRow.quality["mode"].astext.is_distinct_from("addition"),
            )
            .order_by(DataProfileRow.stored_at.desc())
            .limit(1)
        ).first()
        return None if row is None else _batch_profile(row)

    def latest(self, n: int) -> list[BatchProfile]:
        """The last n profiles of each dataset, newest first."""
        place = func.row_number().over(
            partition_by=DataProfileRow.dataset, order_by=DataProfileRow.made_at.desc()
        )
        ranked = select(DataProfileRow.dataset, DataProfileRow.run_id, place.label("place"))
        placed = ranked.subquery()
        rows = self._session.scalars(
            select(DataProfileRow)
            .join(
                placed,
                (DataProfileRow.dataset == placed.c.dataset)
                & (DataProfileRow.run_id == placed.c.run_id),
            )
            .where(placed.c.place <= n)
            .order_by(DataProfileRow.dataset, DataProfileRow.made_at.desc())
        )
        return [_batch_profile(row) for row in rows]

    def note_removed_reports(self, run_ids: Collection[str], note: str) -> None:
        """Where reports on batches lay, say why they are gone."""
        places = func.jsonb_build_object("report", note, "data_docs", note)
        self._session.execute(
            update(DataProfileRow)
            .where(DataProfileRow.run_id.in_(run_ids))
            .values(quality=DataProfileRow.quality.op("||")(places))
        )


def _of_run(dataset: str, run_id: str) -> tuple[ColumnElement[bool], ...]:
    return DataProfileRow.dataset == dataset, DataProfileRow.run_id == run_id


def _batch_profile(row: DataProfileRow) -> BatchProfile:
    return BatchProfile(
        row.dataset,
        row.run_id,
        row.accepted,
        row.score,
        row.quality,
        row.profile,
        row.made_at,
        row.stored_at,
    )
