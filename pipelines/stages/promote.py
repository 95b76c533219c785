"""Let the gate decide whether the challenger becomes champion; a refusal is recorded as well."""

import json
from dataclasses import asdict

import pandas as pd
import structlog

from pipelines.evaluation.gate import GateRules, decide
from pipelines.registry import CHAMPION
from pipelines.stages.evaluate import BASELINE, HYBRID
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.repositories import ModelRelease, ReleaseRepository

log = structlog.get_logger()


def run(ctx: RunContext) -> Summary:
    """Record the decision in PostgreSQL, then move the alias: the record is never behind."""
    evaluated = ctx.folder.reading("evaluate")
    version: int = ctx.summary("register")["version"]
    with ctx.stage("promote", inputs=["evaluate", "register"]) as draft:
        decision = decide(
            pd.read_parquet(evaluated / f"{HYBRID}.parquet"),
            pd.read_parquet(evaluated / f"{BASELINE}.parquet"),
            None,
            GateRules(must_prove_gain=not _is_first(ctx, version)),
            rng=ctx.rng("gate"),
        )
        release = ModelRelease(
            model=ctx.settings.registered_model,
            version=version,
            run_id=ctx.run_id,
            accepted=decision.accepted,
            decision=asdict(decision),
            metrics=json.loads((evaluated / "metrics.json").read_text())[HYBRID],
            data_fingerprint=ctx.data_fingerprint,
        )
        with ctx.unit_of_work() as session:
            ReleaseRepository(session).record(release)
        if decision.accepted:
            ctx.registry.set_alias(CHAMPION, version)
        log.info("model_judged", version=version, accepted=decision.accepted)
        draft.summary |= {
            "version": version,
            "accepted": decision.accepted,
            "reasons": list(decision.reasons),
        }
    return draft.summary


def _is_first(ctx: RunContext, version: int) -> bool:
    """Whether nothing else is being served; a repeated stage may find its own version there."""
    champion = ctx.registry.by_alias(CHAMPION)
    return champion is None or champion.version == version
