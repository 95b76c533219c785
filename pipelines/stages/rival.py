"""The champion of the day, judged by the readers that a new model is judged by."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import structlog
from threadpoolctl import threadpool_limits

from pipelines.data.dataset import Dataset
from pipelines.errors import ArtifactError, StorageError
from pipelines.evaluation.protocol import Holdout, Ranks, evaluate
from pipelines.evaluation.rival import Translated, fair_readers
from pipelines.models.hybrid import HybridRecommender
from pipelines.registry import CHAMPION, PIPELINE_RUN, ModelVersion
from pipelines.run_params import trained_on
from pipelines.stages.run_context import RunContext
from pipelines.stages.train import FITS

log = structlog.get_logger()

FITTED_FOR = "judging"


@dataclass(frozen=True)
class Rival:
    """How the champion does where a comparison is fair."""

    version: int
    ndcg_at_10: npt.NDArray[np.float64]
    """Parallel to the readers; NaN for one who is to find what the champion has learnt from."""


def measured_champion(ctx: RunContext, readers: Holdout, dataset: Dataset) -> Rival | None:
    """
    The champion as it was fitted for judging, asked about these readers.

    None, and a line in the log, where there is none to compare with: no champion yet, one of
    another library, or one whose run is gone or knows what every reader is to find.
    """
    champion = ctx.registry.by_alias(CHAMPION)
    if champion is None or champion.tags.get(PIPELINE_RUN) == ctx.run_id:
        return None
    reason = _unfit(ctx, champion)
    if not reason:
        try:
            theirs, model = _opened(ctx, champion)
        except (StorageError, ArtifactError) as error:
            reason = str(error)
        else:
            fair = np.flatnonzero(fair_readers(readers, dataset, theirs, FITS[FITTED_FOR]))
            if len(fair):
                asked = Translated(model, theirs.books, dataset.books)
                ndcg = _ndcg(asked, readers, fair, len(dataset.books))
                return Rival(champion.version, ndcg)
            reason = "it has learnt what every reader is to find"
    log.info("champion_not_compared", version=champion.version, reason=reason)
    return None


def _unfit(ctx: RunContext, champion: ModelVersion) -> str:
    # Readers of different libraries only share numbers.
    same = trained_on(champion).dataset == ctx.params.dataset
    return "" if same else "it is of another library"


def _opened(ctx: RunContext, champion: ModelVersion) -> tuple[Dataset, HybridRecommender]:
    folder = ctx.folder_of(champion.tags[PIPELINE_RUN])
    model = HybridRecommender.load(folder.reading("blend") / FITTED_FOR)
    return Dataset.load(folder.reading("preprocess")), model


def _ndcg(
    model: Ranks, readers: Holdout, fair: npt.NDArray[np.intp], n_books: int
) -> npt.NDArray[np.float64]:
    ndcg = np.full(len(readers), np.nan)
    with threadpool_limits(1, "blas"):  # see `evaluate`
        found = evaluate(
            model,
            readers.take(fair),
            n_books=n_books,
            popularity=np.zeros(n_books, np.int64),
            rng=np.random.default_rng(0),  # for intervals that nobody looks at
        )
    ndcg[fair] = found.per_reader["ndcg_at_10"]
    return ndcg
