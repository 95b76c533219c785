from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.release.moving import Standing, carry_out, settled, turn
from pipelines.release.promotion import planned
from pipelines.release.rollback import roll_back
from pipelines.settings import Settings
from pipelines.storage.alias_moves import AliasMove
from pipelines.storage.repositories import ModelRelease, ReleaseRepository
from pipelines.storage.unit_of_work import unit_of_work
from tests import factories


@dataclass
class Releases:
    """Versions of small models in real MLflow, and the gate's decisions about them."""

    settings: Settings
    registry: MlflowRegistry
    folder: Path

    @property
    def model(self) -> str:
        return self.settings.registered_model

    @property
    def url(self) -> str:
        return self.settings.database_url.get_secret_value()

    def register(self, *, accepted: bool | None = True) -> int:
        """A version; judged, unless `accepted` is None."""
        run = f"run-{len(self.registry.versions()) + 1}"
        bundle = self.folder / run
        factories.bundle().save(bundle)
        self.registry.record_run("hybrid", run, params={}, metrics={}, tags={})
        tags = {"ndcg_at_10": "0.2", "source": "shop"}
        version = self.registry.register("hybrid", run, bundle, tags).version
        if accepted is not None:
            reasons = ["passed: better" if accepted else "failed: no better"]
            metrics = {"metrics": {"ndcg_at_10": 0.2}}
            decision = {"reasons": reasons, "accepted": accepted}
            release = ModelRelease(self.model, version, run, accepted, decision, metrics, "f")
            with unit_of_work(self.url) as session:
                ReleaseRepository(session).record(release)
        return version

    def promote(self, version: int) -> AliasMove | None:
        """What the stage does once the gate has decided."""
        with turn(self.url) as session:
            with unit_of_work(self.url) as inner:
                standing = settled(inner, self.registry, self.model)
                release = ReleaseRepository(inner).find(self.model, version)
                move = planned(inner, standing, release)
            if move is not None:
                carry_out(session, self.registry, self.model, move)
        return move

    def released(self, count: int) -> None:
        """So many versions, each promoted after the other."""
        for _ in range(count):
            self.promote(self.register())

    def roll_back(self, to: int | None = None, **changes: object) -> AliasMove:
        told = {"who": "cli:ann", "why": "complaints"} | changes
        return roll_back(self.settings, self.registry, to, **told)

    def bundle(self, version: int) -> Path:
        return self.registry.fetch(version, self.settings.home / "models")

    @property
    def champion(self) -> int | None:
        found = self.registry.by_alias(CHAMPION)
        return None if found is None else found.version

    @property
    def moves(self) -> list[AliasMove]:
        """Oldest first."""
        with unit_of_work(self.url) as session:
            return list(reversed(Standing.of(session, self.registry, self.model).moves))

    @property
    def path(self) -> list[tuple[int | None, int, bool]]:
        """From where to where, and whether the record says that it was done."""
        return [(m.from_version, m.to_version, m.moved_at is not None) for m in self.moves]


@pytest.fixture
def releases(run_settings: Settings, tmp_path: Path) -> Releases:
    registry = MlflowRegistry.from_settings(run_settings)
    registry.prepare()
    return Releases(run_settings, registry, tmp_path / "bundles")
