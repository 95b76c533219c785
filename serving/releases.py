"""Registered versions: what is known of them, and going back to one."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from pipelines.errors import UnknownVersionError
from pipelines.registry import CHAMPION, ModelVersion, Registry
from pipelines.release.rollback import roll_back
from pipelines.settings import Settings
from pipelines.storage.alias_moves import AliasMove, AliasMoves
from pipelines.storage.repositories import ModelRelease, ReleaseRepository
from pipelines.storage.unit_of_work import unit_of_work
from serving.database import Database


@dataclass(frozen=True)
class Release:
    """A version, what the gate decided about it, and the moves that it was part of."""

    version: ModelVersion
    decision: ModelRelease | None
    moves: tuple[AliasMove, ...]


class Releases:
    """
    Reads and moves releases, in threads of its own: a registry that hangs holds up nobody else.

    Every method raises StorageError while the database is away, RegistryError while the registry
    is.
    """

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._database = Database.of(settings)

    async def all(self) -> list[Release]:
        """Every version, newest first."""
        return await self._database.run(self._listed)

    async def one(self, version: int) -> Release:
        """
        One version.

        Raises:
            UnknownVersionError: there is none of that number.
        """
        found = [r for r in await self.all() if r.version.version == version]
        if not found:
            raise UnknownVersionError(version)
        return found[0]

    async def roll_back(self, to: int | None, *, who: str, why: str, force: bool) -> AliasMove:
        """See `pipelines.release.rollback.roll_back`."""
        return await self._database.run(
            lambda _: roll_back(self._settings, self._registry, to, who=who, why=why, force=force)
        )

    def close(self) -> None:
        """Let the threads end."""
        self._database.close()

    def _listed(self, url: str) -> list[Release]:
        versions = self._registry.versions()
        with unit_of_work(url) as session:
            return self._completed(session, versions)

    def _completed(self, session: Session, versions: list[ModelVersion]) -> list[Release]:
        model = self._settings.registered_model
        decisions = {d.version: d for d in ReleaseRepository(session).all(model)}
        moves = AliasMoves(session, model, CHAMPION).all()
        return [
            Release(
                v,
                decisions.get(v.version),
                tuple(m for m in moves if v.version in (m.from_version, m.to_version)),
            )
            for v in versions
        ]
