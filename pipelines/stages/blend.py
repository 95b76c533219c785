"""Weigh the models against each other on validation rows, and build the bundle to be served."""

from threadpoolctl import threadpool_limits

from pipelines.data.dataset import Dataset
from pipelines.data.splits import Part
from pipelines.evaluation.protocol import holdout
from pipelines.models.blending import fit_blend
from pipelines.models.bundle import ModelBundle
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from pipelines.models.popularity import PopularityRecommender
from pipelines.stages.run_context import RunContext, Summary
from pipelines.stages.train import address, fitted


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
    with ctx.stage("blend", inputs=["preprocess", *map(address, models)]) as draft:
        judged = HybridRecommender(config, fitted(ctx.folder, models, "judging"))
        judged.save(draft.folder / "judging")
        ModelBundle(
            hybrid=HybridRecommender(config, fitted(ctx.folder, models, "serving")),
            popularity=PopularityRecommender().fit(
                dataset.training_data(*Part), rng=ctx.rng("fallback")
            ),
            users=dataset.users,
            books=dataset.books,
            interactions=dataset.interactions(*Part),
            catalogue=dataset.catalogue,
        ).save(draft.folder / "bundle")
        draft.summary |= {
            "weights": blend.weights,
            "weights_by_history": blend.by_history,
            "validation_ndcg_at_10": blend.ndcg_at_10,
            "by_model": blend.by_part,
            "readers": len(readers),
        }
    return draft.summary
