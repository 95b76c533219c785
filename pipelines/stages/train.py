"""
Fit one model three times: for choosing, for judging and for serving.

The blend is chosen on validation rows by models that saw neither validation nor test; it is judged
on test rows by models that saw all but test; and what is served has learnt from everything.
"""

from collections.abc import Mapping

from pipelines.data.dataset import Dataset
from pipelines.data.splits import Part
from pipelines.models.base import Recommender
from pipelines.models.factory import create, load_model
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.artifacts import RunFolder

FITS: Mapping[str, tuple[Part, ...]] = {
    "choosing": (Part.TRAIN,),
    "judging": (Part.TRAIN, Part.VALIDATION),
    "serving": (Part.TRAIN, Part.VALIDATION, Part.TEST),
}


def run(ctx: RunContext, model: str) -> Summary:
    """Write the three fits of one model and record its run in MLflow."""
    dataset = Dataset.load(ctx.folder.reading("preprocess"))
    with ctx.stage(address(model), inputs=["preprocess"]) as draft:
        for fit, parts in FITS.items():
            recommender = create(model, **ctx.settings.hyperparameters.get(model, {}))
            recommender.fit(dataset.training_data(*parts), rng=ctx.rng(f"train {model} {fit}"))
            recommender.save(draft.folder / fit)
        config = recommender.config.model_dump()
        draft.summary |= {"model": model, "config": config}
        ctx.registry.record_run(model, ctx.run_id, params=config, metrics={}, tags=ctx.tags())
    return draft.summary


def address(model: str) -> str:
    """Where a model's fits lie in the run folder."""
    return f"train/{model}"


def fitted(folder: RunFolder, models: list[str], fit: str) -> dict[str, Recommender]:
    """The models as they came out of one of the fits, by name."""
    return {name: load_model(folder.reading(address(name)) / fit) for name in models}
