"""Put the bundle into the registry as a new version, and call it challenger."""

import json
from datetime import datetime

from pipelines.evaluation.report.card import ModelCard, Origin, model_card
from pipelines.evaluation.report.models import Measured
from pipelines.registry import CHALLENGER, DATA_QUALITY_SCORE
from pipelines.stages.evaluate import HYBRID
from pipelines.stages.run_context import RunContext, Summary
from pipelines.stages.train import address

MODEL_CARD = "model_card"
"""The folder of the card, and what its files are called."""


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
        card = _card(ctx, version.version, metrics[HYBRID])
        card.page.write(draft.folder / MODEL_CARD, MODEL_CARD)
        (draft.folder / MODEL_CARD / f"{MODEL_CARD}.md").write_text(card.markdown)
        ctx.registry.attach(version.run_id, draft.folder / MODEL_CARD, MODEL_CARD)
        where = f"{MODEL_CARD}/ among the artifacts of its run"
        ctx.registry.describe(version.version, card.description(where))
        draft.summary |= {
            "model": ctx.settings.registered_model,
            "version": version.version,
            "mlflow_run_id": version.run_id,
        }
    return draft.summary


def _card(ctx: RunContext, version: int, measured: Measured) -> ModelCard:
    tags = ctx.tags()
    models: list[str] = ctx.summary("preprocess")["models"]
    stages = {name: address(name) for name in models} | {"blend": "blend", "evaluate": "evaluate"}
    origin = Origin(
        model=ctx.settings.registered_model,
        version=version,
        run_id=ctx.run_id,
        # Not of now: the card has to be the same whenever it is written.
        date=datetime.fromisoformat(ctx.folder.manifest("ingest")["finished_at"]),
        source=tags["source"],
        library=tags["library"],
        data_fingerprint=tags["data_fingerprint"],
        git_sha=tags["git_sha"],
        quality_score=ctx.summary("profile")["score"],
        blend=ctx.summary("blend"),
        seconds={name: ctx.folder.manifest(where)["seconds"] for name, where in stages.items()},
    )
    return model_card(measured, origin)


def _quality_metrics(profile: Summary) -> dict[str, float]:
    """The quality score of the data, 0..100, and its parts, 0..1, as MLflow names them."""
    parts = {f"data_{part}": share for part, share in profile["parts"].items()}
    return {DATA_QUALITY_SCORE: profile["score"], **parts}
