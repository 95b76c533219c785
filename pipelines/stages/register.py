"""Put the bundle into the registry as a new version, and call it challenger."""

import json

from pipelines.registry import CHALLENGER, DATA_QUALITY_SCORE
from pipelines.stages.evaluate import HYBRID
from pipelines.stages.run_context import RunContext, Summary


def run(ctx: RunContext) -> Summary:
    """
    Register once for a run: a repeated stage finds its version again.

    The hybrid's run and the version both name the report on the data that made them.
    """
    blend = ctx.folder.reading("blend")
    metrics = json.loads((ctx.folder.reading("evaluate") / "metrics.json").read_text())
    profile = ctx.summary("profile")
    quality = _quality_metrics(profile)
    reports = {"data_quality_report": profile["report"], "data_docs": profile["data_docs"]}
    measured = metrics[HYBRID]["metrics"] | quality
    learnt = {"load": str(ctx.summary("store")["load"])}
    tags = ctx.tags() | learnt | reports | {k: f"{v:.6g}" for k, v in measured.items()}
    with ctx.stage("register", inputs=["blend", "evaluate", "profile"]) as draft:
        ctx.registry.record_run(HYBRID, ctx.run_id, params={}, metrics=quality, tags=reports)
        version = ctx.registry.register(HYBRID, ctx.run_id, blend / "bundle", tags)
        challenger = ctx.registry.by_alias(CHALLENGER)
        if challenger is None or challenger.version < version.version:
            ctx.registry.set_alias(CHALLENGER, version.version)
        draft.summary |= {
            "model": ctx.settings.registered_model,
            "version": version.version,
            "mlflow_run_id": version.run_id,
        }
    return draft.summary


def _quality_metrics(profile: Summary) -> dict[str, float]:
    """The quality score of the data, 0..100, and its parts, 0..1, as MLflow names them."""
    parts = {f"data_{part}": share for part, share in profile["parts"].items()}
    return {DATA_QUALITY_SCORE: profile["score"], **parts}
