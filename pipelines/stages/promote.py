"""Let the gate decide whether the challenger becomes champion; a refusal is recorded as well."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import structlog

from pipelines.errors import ReleaseError
from pipelines.evaluation.bootstrap import Difference
from pipelines.evaluation.gate import Evidence, decide
from pipelines.events import ModelRefused
from pipelines.registry import CHAMPION, RETRAIN_WANTED, ModelVersion
from pipelines.release.moving import Standing, carry_out, settled, turn
from pipelines.release.promotion import planned
from pipelines.release.servable import check_servable
from pipelines.stages.evaluate import AGAINST, BASELINE, HYBRID
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.alias_moves import AliasMove
from pipelines.storage.announcements import announce_champion
from pipelines.storage.outbox import Outbox
from pipelines.storage.repositories import ModelRelease, ReleaseRepository

log = structlog.get_logger()

DECISION = "decision.json"
"""Beside PostgreSQL's record, in the run's folder and under `gate/` among MLflow's artifacts."""


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
        record = {**asdict(release), "decided_at": release.decision.get("at")}
        (draft.folder / DECISION).write_text(json.dumps(record, indent=1))
        ctx.registry.attach(ctx.summary("register")["mlflow_run_id"], draft.folder, "gate")
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
            release = _judged(ctx, version, standing)
            releases.record(release)
            if not release.accepted:
                Outbox(session).write(_refused(release))
        move = planned(session, standing, release) if release.accepted else None
    return release, move


def _judged(ctx: RunContext, version: int, standing: Standing) -> ModelRelease:
    evaluated = ctx.folder.reading("evaluate")
    measured = json.loads((evaluated / "metrics.json").read_text())[HYBRID]
    against = AGAINST.validate_json((evaluated / "champion.json").read_bytes())
    over = measured["comparisons"][BASELINE]
    evidence = Evidence(
        over_popularity=Difference(over["mean"], over["low"], over["high"], over["n"]),
        quality_score=ctx.summary("profile")["score"],
        champion=None if has_to_go(ctx.registry.by_alias(CHAMPION)) else against,
        defect=_defect(ctx, version),
        overtaken=_overtaken(standing, None if against is None else against.version),
    )
    decision = decide(evidence, ctx.settings.gate)
    return ModelRelease(
        model=ctx.settings.registered_model,
        version=version,
        run_id=ctx.run_id,
        accepted=decision.accepted,
        decision={
            "by": f"run:{ctx.run_id}",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            **asdict(decision),
        },
        metrics=measured,
        data_fingerprint=ctx.data_fingerprint,
    )


def has_to_go(champion: ModelVersion | None) -> bool:
    """One that has to does not stay because its successor cannot be proven to be better."""
    return champion is not None and RETRAIN_WANTED in champion.tags


def _defect(ctx: RunContext, version: int) -> str | None:
    try:
        check_servable(ctx.registry, version, ctx.settings.home / "models")
    except ReleaseError as error:
        return str(error)
    return None


def _overtaken(standing: Standing, compared_with: int | None) -> str | None:
    """Of two runs that were judged against the same champion one has been faster."""
    champion, last = standing.champion, standing.last
    if champion is None or champion == compared_with:
        return None
    known = last is not None and last.to_version == champion
    by = f" by {last.who}" if last is not None and known else ""
    against = "no champion" if compared_with is None else f"version {compared_with}"
    return (
        f"version {champion} was made champion{by} after this one was compared with {against}: "
        "run the pipeline again to be compared with it"
    )


def _refused(release: ModelRelease) -> ModelRefused:
    return ModelRefused(
        occasion=f"gate/{release.model}/{release.run_id}/{release.version}",
        by="gate",
        model=release.model,
        version=release.version,
        reasons=tuple(release.decision["reasons"]),
    )
