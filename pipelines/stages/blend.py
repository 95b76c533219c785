"""Weigh the models against each other on validation rows, and build the bundle to be served."""

from threadpoolctl import threadpool_limits

from pipelines.data.dataset import Dataset
from pipelines.data.interactions import Interactions
from pipelines.data.splits import Part
from pipelines.evaluation.damping import choose_damping
from pipelines.evaluation.protocol import Holdout, holdout
from pipelines.models.blending import fit_blend
from pipelines.models.bundle import BundleConfig, ModelBundle
from pipelines.models.exposure import max_readers, score_matrix
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
        damping, by_damping = _damping(ctx, HybridRecommender(config, candidates), readers, dataset)
        config = config.model_copy(update={"damping": damping})
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
            "damping": damping,
            "ndcg_at_10_by_damping": by_damping,
            "validation_ndcg_at_10": blend.ndcg_at_10,
            "by_model": blend.by_part,
            "readers": len(readers),
        }
    return draft.summary


def _hybrid(
    ctx: RunContext, config: HybridConfig, fit: str, interactions: Interactions
) -> HybridRecommender:
    hybrid = HybridRecommender(config, fitted(ctx.folder, list(config.weights), fit))
    return hybrid.fit_thresholds(interactions, rng=ctx.rng(f"thresholds for {fit}"))


def _damping(
    ctx: RunContext, undamped: HybridRecommender, readers: Holdout, dataset: Dataset
) -> tuple[float, dict[float, float]]:
    """The damping that the validation readers can afford, and what they would get at others."""
    n_books = len(dataset.books)
    chosen = [
        (history, relevant)
        for history, relevant in zip(readers.histories, readers.relevant, strict=True)
        if len(history.liked)
    ][: max_readers(n_books)]
    scores = score_matrix(undamped, [history for history, _ in chosen], n_books)
    price = ctx.settings.blend.coverage_price
    return choose_damping(scores, [relevant for _, relevant in chosen], price=price)
