"""
What happens here that others may want to know of.

An event is thin: it names what it is about and where to read more, and holds nothing of readers.
"""

from datetime import UTC, datetime
from typing import ClassVar, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

EventType = Literal[
    "model.promoted",
    "model.rolled_back",
    "model.refused",
    "data.batch_refused",
    "data.drift_found",
]

_NAMESPACE = UUID("1f0b9d6e-5b0a-4f57-9c39-6c1f3b1d7a42")


def _now() -> datetime:
    return datetime.now(UTC)


class Event(BaseModel):
    """One occurrence; its fields are the `data` of what is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar[EventType]

    occasion: str = Field(exclude=True, repr=False)
    """The same for the same event, however often a stage that was cut short is repeated."""
    occurred_at: datetime = Field(default_factory=_now, exclude=True)

    @property
    def id(self) -> str:
        """By which a receiver knows an event that it has had already; holds no full stop."""
        return str(uuid5(_NAMESPACE, f"{self.type}/{self.occasion}"))


class ModelPromoted(Event):
    """A version became champion, by the gate or by hand; the service is about to load it."""

    type: ClassVar[EventType] = "model.promoted"

    model: str
    version: int
    run_id: str
    """Empty, and no metrics, of a version that the gate has never seen."""
    metrics: dict[str, float]


class ModelRolledBack(Event):
    """An earlier version is champion again, by hand or `automatic`; the service is to load it."""

    type: ClassVar[EventType] = "model.rolled_back"

    model: str
    version: int
    from_version: int
    who: str
    why: str


class ModelRefused(Event):
    """A version did not become champion, or is champion and cannot be served."""

    type: ClassVar[EventType] = "model.refused"

    by: Literal["gate", "service"]
    model: str
    version: int
    reasons: tuple[str, ...] = ()
    """The gate's; what the service found is told by its `/api/v1/models/current`."""
    in_service: int | None = None
    """Which version answers instead; None where that is not known, or none does."""


class BatchRefused(Event):
    """Data that may not be learnt from; nothing of them was stored."""

    type: ClassVar[EventType] = "data.batch_refused"

    dataset: str
    run_id: str
    suite: str
    failed: int
    """How many checks; the report says which, with examples, so they are not told here."""
    report: str


class ColumnMoved(BaseModel):
    """A column that is no longer as it was."""

    model_config = ConfigDict(frozen=True)

    column: str
    psi: float
    level: Literal["warning", "critical"]


class DriftFound(Event):
    """A batch differs from the one that was stored before it."""

    type: ClassVar[EventType] = "data.drift_found"

    dataset: str
    run_id: str
    compared_with: str
    columns: tuple[ColumnMoved, ...]
    report: str
