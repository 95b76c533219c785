"""Weigh the models against each other on validation rows, and build the bundle to be served."""

from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_limits

from pipelines.data.dataset import Dataset
from pipelines.data.interactions import Interactions
from pipelines.data.splits import Part
from pipelines.evaluation.affordable import choose_damping, choose_new_books
from pipelines.evaluation.protocol import Holdout, holdout
from pipelines.models.base import Recommender, ScoreMatrix
from pipelines.models.blending import fit_blend
from pipelines.models.bundle import BundleConfig, ModelBundle
from pipelines.models.exposure import between, max_readers, score_matrix
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from pipelines.models.popularity import PopularityRecommender
from pipelines.stages.run_context import RunContext, Summary
from pipelines.stages.train import FITS, address, fitted


def run(ctx: RunContext) -> Summary:
    """Write the hybrid for judging and the bundle for serving."""
    dataset = Dataset.load(ctx.folder.reading("preprocess"))
    models: list[str] = ctx.summary("preprocess")["models"]
    readers = holdout(
        dataset.interactions(Part.TRAIN),
        dataset.interactions(Part.VALIDATION),
        max_readers=ctx.settings.evaluation.max_validation_readers,
        rng=ctx.rng("validation readers"),
    )
    candidates = fitted(ctx.folder, models, "choosing")
    with threadpool_limits(1, "blas"):  # see `evaluate`
        blend = fit_blend(
            candidates, readers.histories, readers.relevant, rng=ctx.rng("cut histories")
        )
        config = HybridConfig(weights=blend.weights, by_history=blend.by_history)
        config, exposure = _exposure(ctx, config, candidates, readers, dataset)
        everything = dataset.interactions(*FITS["serving"])
        judged = _hybrid(ctx, config, "judging", dataset.interactions(*FITS["judging"]))
        served = _hybrid(ctx, config, "serving", everything)
    with ctx.stage("blend", inputs=["preprocess", *map(address, models)]) as draft:
        judged.save(draft.folder / "judging")
        ModelBundle(
            hybrid=served,
            popularity=PopularityRecommender().fit(
                dataset.training_data(*FITS["serving"]), rng=ctx.rng("fallback")
            ),
            users=dataset.users,
            books=dataset.books,
            interactions=everything,
            catalogue=dataset.catalogue,
            config=BundleConfig(rating_scale=ctx.summary("preprocess")["rating_scale"]),
        ).save(draft.folder / "bundle")
        draft.summary |= {
            "weights": blend.weights,
            "weights_by_history": blend.by_history,
            **exposure,
            "validation_ndcg_at_10": blend.ndcg_at_10,
            "by_model": blend.by_part,
            "readers": len(readers),
        }
    return draft.summary


def _hybrid(
    ctx: RunContext, config: HybridConfig, fit: str, interactions: Interactions
) -> HybridRecommender:
    hybrid = HybridRecommender(config, fitted(ctx.folder, list(config.weights), fit))
    return hybrid.fit_exposure(interactions, rng=ctx.rng(f"thresholds for {fit}"))


def _exposure(
    ctx: RunContext,
    config: HybridConfig,
    parts: Mapping[str, Recommender],
    readers: Holdout,
    dataset: Dataset,
) -> tuple[HybridConfig, Summary]:
    """The config with the knobs that readers can afford, and what they would get at others."""
    knowing = np.flatnonzero([len(history.liked) for history in readers.histories])
    readers = readers.take(knowing[: max_readers(len(dataset.books))])
    known = dataset.interactions(*FITS["choosing"])

    def scores(knob: float) -> ScoreMatrix:
        hybrid = HybridRecommender(config.model_copy(update={"new_books": knob}), parts)
        hybrid.fit_new_books(known)
        return score_matrix(hybrid, readers.histories, known.n_books)

    prices = ctx.settings.blend
    least = scores(0)
    most = scores(1) if len(known.unmet) else least
    new_books, by_new_books = choose_new_books(
        least, most, readers.relevant, price=prices.new_books_price
    )
    damping, by_damping = choose_damping(
        between(least, most, new_books), readers.relevant, price=prices.coverage_price
    )
    return config.model_copy(update={"new_books": new_books, "damping": damping}), {
        "new_books": new_books,
        "ndcg_at_10_by_new_books": by_new_books,
        "damping": damping,
        "ndcg_at_10_by_damping": by_damping,
    }
