"""
Fit one model three times: for choosing, for judging and for serving.

The blend is chosen on validation rows by models that saw neither validation nor test; it is judged
on test rows by models that saw all but test; and what is served has learnt from everything. The
hyperparameters of all three fits are tuned on validation rows too, by models fitted for choosing.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.data.dataset import Dataset
from pipelines.data.interactions import TrainingData
from pipelines.data.splits import Part
from pipelines.evaluation.tuning import Tuning
from pipelines.models.base import Recommender
from pipelines.models.factory import create, load_model
from pipelines.stages.run_context import RunContext, Summary
from pipelines.stages.study import fixed, told, tuned
from pipelines.storage.artifacts import RunFolder

FITS: Mapping[str, tuple[Part, ...]] = {
    "choosing": (Part.TRAIN,),
    "judging": (Part.TRAIN, Part.VALIDATION),
    "serving": (Part.TRAIN, Part.VALIDATION, Part.TEST),
}
FIRST, *OTHERS = FITS


def run(ctx: RunContext, model: str) -> Summary:
    """Tune one model, write its three fits, and record its run in MLflow."""
    dataset = Dataset.load(ctx.folder.reading("preprocess"))
    with ctx.stage(address(model), inputs=["preprocess"]) as draft:
        first, tuning = _first_fit(ctx, model, dataset)
        _write_fits(ctx, model, dataset, first, draft.folder)
        config, found = first.config.model_dump(), told(tuning)
        draft.summary |= {"model": model, "config": config, "tuning": found}
        ctx.registry.record_run(
            model,
            ctx.run_id,
            params=config,
            metrics={f"tuning_{name}": v for name, v in found.items() if isinstance(v, float)},
            tags=ctx.tags(),
            data=ctx.data_used,
        )
    return draft.summary


def address(model: str) -> str:
    """Where a model's fits lie in the run folder."""
    return f"train/{model}"


def fitted(folder: RunFolder, models: list[str], fit: str) -> dict[str, Recommender]:
    """The models as they came out of one of the fits, by name."""
    return {name: load_model(folder.reading(address(name)) / fit) for name in models}


def _first_fit(ctx: RunContext, model: str, dataset: Dataset) -> tuple[Recommender, Tuning | None]:
    """The fit for choosing, with the hyperparameters that it chose itself."""
    data = _data(ctx, dataset, FIRST)

    def fit(params: Mapping[str, Any]) -> Recommender:
        unfitted = create(model, **fixed(ctx.settings, model), **params)
        return unfitted.fit(data, rng=ctx.rng(f"train {model} {FIRST}"))

    tuning = tuned(ctx, model, dataset, fit)
    if tuning is None:
        return fit({}), None
    return tuning.model or fit(tuning.params), tuning


def _write_fits(
    ctx: RunContext, model: str, dataset: Dataset, first: Recommender, folder: Path
) -> None:
    first.save(folder / FIRST)
    for name in OTHERS:
        if first.learns_from_readers:
            again = type(first)(first.config)
            again.fit(_data(ctx, dataset, name), rng=ctx.rng(f"train {model} {name}"))
            again.save(folder / name)
        else:
            shutil.copytree(folder / FIRST, folder / name, copy_function=_link)


def _data(ctx: RunContext, dataset: Dataset, fit: str) -> TrainingData:
    return dataset.training_data(*FITS[fit], cache_folder=ctx.settings.home / "cache")


def _link(source: str, target: str) -> None:
    """The same file under a second name, or a copy where the file system knows no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
