"""Let the gate decide whether the challenger becomes champion; a refusal is recorded as well."""

import json
from dataclasses import asdict

import pandas as pd
import structlog

from pipelines.evaluation.gate import GateRules, decide
from pipelines.events import ModelPromoted, ModelRefused
from pipelines.registry import CHAMPION, RETRAIN_WANTED, ModelVersion
from pipelines.stages.evaluate import BASELINE, HYBRID
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.announcements import announce_champion
from pipelines.storage.outbox import Outbox
from pipelines.storage.repositories import ModelRelease, ReleaseRepository

log = structlog.get_logger()


def run(ctx: RunContext) -> Summary:
    """
    Record the decision in PostgreSQL, then move the alias: the record is never behind.

    A version is judged once: a repeated stage finds its decision again.
    """
    version: int = ctx.summary("register")["version"]
    with ctx.stage("promote", inputs=["evaluate", "register"]) as draft:
        with ctx.unit_of_work() as session:
            releases = ReleaseRepository(session)
            releases.take_turns()
            release = releases.find(ctx.settings.registered_model, version)
            if release is None:
                release = _judged(ctx, version)
                releases.record(release)
                if not release.accepted:
                    Outbox(session).write(_refused(release))
        promoted = release.accepted and _promote(ctx, release)
        if promoted:
            announce_champion(ctx.settings, version)
        log.info("model_judged", version=version, accepted=release.accepted, promoted=promoted)
        draft.summary |= {
            "version": version,
            "accepted": release.accepted,
            "promoted": promoted,
            "reasons": list(release.decision["reasons"]),
        }
    return draft.summary


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


def _promoted(release: ModelRelease) -> ModelPromoted:
    return ModelPromoted(
        occasion=f"{release.model}/{release.run_id}/{release.version}",
        model=release.model,
        version=release.version,
        run_id=release.run_id,
        metrics=release.metrics["metrics"],
    )


def _promote(ctx: RunContext, release: ModelRelease) -> bool:
    """Move the alias unless a newer version has it; whether this version is champion now."""
    version = release.version
    with ctx.unit_of_work() as session:
        ReleaseRepository(session).take_turns()
        champion = ctx.registry.by_alias(CHAMPION)
        if champion is not None and champion.version > version:
            return False
        ctx.registry.set_alias(CHAMPION, version)
        # Whoever is killed before this is committed repeats both, and it is the same event.
        Outbox(session).write(_promoted(release))
        return True
