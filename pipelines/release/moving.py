"""
Moving the champion's alias so that its history never lies.

A move takes a turn, in which nobody else decides about models, and three steps:

1. the move is put on record, and committed
2. the alias moves, in the registry
3. that it did is put on record with the event that tells of it, when the turn ends

Whoever is killed between two of them leaves a pending move. Doing the same again finishes it; if
the alias had moved already, whoever has the next turn puts that right.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from sqlalchemy.orm import Session

from pipelines.events import Event, ModelPromoted, ModelRolledBack
from pipelines.registry import CHAMPION, Registry
from pipelines.storage.alias_moves import AliasMove, AliasMoves
from pipelines.storage.outbox import Outbox
from pipelines.storage.repositories import ModelRelease, ReleaseRepository
from pipelines.storage.unit_of_work import unit_of_work


@dataclass(frozen=True)
class Standing:
    """Which version is champion, and how it came to be; moves newest first."""

    champion: int | None
    moves: tuple[AliasMove, ...]

    @classmethod
    def of(cls, session: Session, registry: Registry, model: str) -> Self:
        champion = registry.by_alias(CHAMPION)
        number = None if champion is None else champion.version
        return cls(number, tuple(AliasMoves(session, model, CHAMPION).all()))

    @property
    def last(self) -> AliasMove | None:
        """What was decided last."""
        return self.moves[0] if self.moves else None

    @property
    def pending(self) -> AliasMove | None:
        """What was decided last, if its end is not on record."""
        return self.last if self.last is not None and self.last.moved_at is None else None

    @property
    def before(self) -> int | None:
        """
        The champion before this one: the version that its promotion replaced.

        So that one rollback after the other goes further back, and none goes forth again.
        """
        promotions = (m for m in self.moves if m.action == "promote" and self._has_moved(m))
        return next((m.from_version for m in promotions if m.to_version == self.champion), None)

    def _has_moved(self, move: AliasMove) -> bool:
        return move.moved_at is not None or (move is self.last and move.to_version == self.champion)


@contextmanager
def turn(database_url: str) -> Iterator[Session]:
    """A transaction in which nobody else decides about models; it ends with its process."""
    with unit_of_work(database_url) as session:
        ReleaseRepository(session).take_turns()
        yield session


def settled(session: Session, registry: Registry, model: str) -> Standing:
    """How things stand, after the record has caught up with an alias that moved before a kill."""
    standing = Standing.of(session, registry, model)
    pending = standing.pending
    if pending is None or pending.to_version != standing.champion:
        return standing
    _conclude(session, model, pending)
    return Standing(standing.champion, tuple(AliasMoves(session, model, CHAMPION).all()))


def carry_out(session: Session, registry: Registry, model: str, move: AliasMove) -> None:
    """Do what is on record, in a turn: safe to repeat."""
    registry.set_alias(CHAMPION, move.to_version)
    _conclude(session, model, move)


def _conclude(session: Session, model: str, move: AliasMove) -> None:
    AliasMoves(session, model, CHAMPION).complete(move.number)
    releases = ReleaseRepository(session)
    release = releases.find(model, move.to_version)
    if release is not None and not release.accepted:
        releases.note_force(model, move.to_version, who=move.who, why=move.why)
    Outbox(session).write(_event(model, move, release))


def _event(model: str, move: AliasMove, release: ModelRelease | None) -> Event:
    version = move.to_version
    if move.action == "rollback" and move.from_version is not None:
        return ModelRolledBack(
            occasion=f"{model}/{move.number}",
            model=model,
            version=version,
            from_version=move.from_version,
            who=move.who,
            why=move.why,
        )
    return ModelPromoted(
        occasion=f"{model}/{move.number}",
        model=model,
        version=version,
        run_id="" if release is None else release.run_id,
        metrics={} if release is None else release.metrics["metrics"],
    )
