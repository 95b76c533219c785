"""Let the gate decide whether the challenger becomes champion; a refusal is recorded as well."""

import json
from dataclasses import asdict

import pandas as pd
import structlog

from pipelines.evaluation.gate import GateRules, decide
from pipelines.events import ModelRefused
from pipelines.registry import CHAMPION, RETRAIN_WANTED, ModelVersion
from pipelines.release.moving import carry_out, settled, turn
from pipelines.release.promotion import planned
from pipelines.stages.evaluate import BASELINE, HYBRID
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.alias_moves import AliasMove
from pipelines.storage.announcements import announce_champion
from pipelines.storage.outbox import Outbox
from pipelines.storage.repositories import ModelRelease, ReleaseRepository

log = structlog.get_logger()


def run(ctx: RunContext) -> Summary:
    """
    Record the decision, and the move if there is one, then move the alias.

    A version is judged once: a repeated stage finds its decision again, and finishes its move.
    """
    version: int = ctx.summary("register")["version"]
    with ctx.stage("promote", inputs=["evaluate", "register"]) as draft:
        with turn(ctx.database_url) as session:
            release, move = _decided(ctx, version)
            if move is not None:
                carry_out(session, ctx.registry, release.model, move)
        if move is not None:
            announce_champion(ctx.settings, version)
        log.info(
            "model_judged", version=version, accepted=release.accepted, promoted=move is not None
        )
        draft.summary |= {
            "version": version,
            "accepted": release.accepted,
            "promoted": move is not None,
            "reasons": list(release.decision["reasons"]),
        }
    return draft.summary


def _decided(ctx: RunContext, version: int) -> tuple[ModelRelease, AliasMove | None]:
    """The decision and the move that follows from it, committed before the alias moves."""
    model = ctx.settings.registered_model
    with ctx.unit_of_work() as session:
        standing = settled(session, ctx.registry, model)
        releases = ReleaseRepository(session)
        release = releases.find(model, version)
        if release is None:
            release = _judged(ctx, version)
            releases.record(release)
            if not release.accepted:
                Outbox(session).write(_refused(release))
        move = planned(session, standing, release) if release.accepted else None
    return release, move


def _judged(ctx: RunContext, version: int) -> ModelRelease:
    evaluated = ctx.folder.reading("evaluate")
    decision = decide(
        pd.read_parquet(evaluated / f"{HYBRID}.parquet"),
        pd.read_parquet(evaluated / f"{BASELINE}.parquet"),
        None,
        rules_beside(ctx.registry.by_alias(CHAMPION)),
        rng=ctx.rng("gate"),
    )
    return ModelRelease(
        model=ctx.settings.registered_model,
        version=version,
        run_id=ctx.run_id,
        accepted=decision.accepted,
        decision=asdict(decision),
        metrics=json.loads((evaluated / "metrics.json").read_text())[HYBRID],
        data_fingerprint=ctx.data_fingerprint,
    )


def rules_beside(champion: ModelVersion | None) -> GateRules:
    """One that has to go does not stay because its successor cannot be proven to be better."""
    stays = champion is not None and RETRAIN_WANTED not in champion.tags
    return GateRules(must_prove_gain=stays)


def _refused(release: ModelRelease) -> ModelRefused:
    return ModelRefused(
        occasion=f"gate/{release.model}/{release.run_id}/{release.version}",
        by="gate",
        model=release.model,
        version=release.version,
        reasons=tuple(release.decision["reasons"]),
    )
