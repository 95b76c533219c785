"""The champion of the day, judged by the readers that a new model is judged by."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import structlog
from threadpoolctl import threadpool_limits

from pipelines.data.dataset import Dataset
from pipelines.errors import ModelError, StorageError
from pipelines.evaluation.latency import Asked, milliseconds_a_list
from pipelines.evaluation.protocol import Evaluation, Holdout, Ranks
from pipelines.evaluation.rival import NotCompared, Pair, Translated, fair_readers
from pipelines.models.base import Recommender
from pipelines.models.hybrid import HybridRecommender
from pipelines.registry import CHALLENGER, CHAMPION, PIPELINE_RUN, ModelVersion
from pipelines.run_params import trained_on
from pipelines.stages.run_context import RunContext
from pipelines.stages.train import FITS

log = structlog.get_logger()

FITTED_FOR = "judging"
Measure = Callable[[Ranks | Recommender, Holdout], Evaluation]
"""How every model of a run is measured."""


@dataclass(frozen=True)
class Rival:
    """How the champion does where a comparison is fair."""

    version: int
    fair: npt.NDArray[np.intp]
    """Places of the readers who are not to find what the champion has learnt from."""
    found: Evaluation
    """Of these readers."""
    milliseconds: Pair

    def ndcg_at_10(self, n_readers: int) -> npt.NDArray[np.float64]:
        """Shape (n_readers,): of all who are judged; NaN where it would not be fair."""
        ndcg = np.full(n_readers, np.nan)
        ndcg[self.fair] = self.found.per_reader["ndcg_at_10"]
        return ndcg


def measured_champion(
    ctx: RunContext, challenger: Recommender, readers: Holdout, dataset: Dataset, measure: Measure
) -> Rival | NotCompared | None:
    """
    The champion as it was fitted for judging, asked about these readers; None where there is none.

    Not compared, and a line in the log says so, is one of another library, and one whose run is
    gone or knows what every reader is to find.
    """
    champion = ctx.registry.by_alias(CHAMPION)
    if champion is None:
        return None
    reason = _unfit(ctx, champion)
    if not reason:
        try:
            theirs, model = _opened(ctx, champion)
            fair = np.flatnonzero(fair_readers(readers, dataset, theirs, FITS[FITTED_FOR]))
            if len(fair):
                asked = Translated(model, theirs.books, dataset.books)
                among = readers.take(fair)
                milliseconds = _milliseconds(challenger, model, asked, among)
                return Rival(champion.version, fair, measure(asked, among), milliseconds)
        except (StorageError, ModelError) as error:
            reason = str(error)
        else:
            reason = "it has learnt what every reader is to find"
    log.info("champion_not_compared", version=champion.version, reason=reason)
    return NotCompared(champion.version, reason)


def _unfit(ctx: RunContext, champion: ModelVersion) -> str:
    if champion.tags.get(PIPELINE_RUN) == ctx.run_id:
        return "it came from this run, whose folder holds another model by now"
    # Readers of different libraries only share numbers.
    same = trained_on(champion).dataset == ctx.params.dataset
    return "" if same else "it is of another library"


def _opened(ctx: RunContext, champion: ModelVersion) -> tuple[Dataset, HybridRecommender]:
    folder = ctx.folder_of(champion.tags[PIPELINE_RUN])
    model = HybridRecommender.load(folder.reading("blend") / FITTED_FOR)
    return Dataset.load(folder.reading("preprocess")), model


def _milliseconds(
    challenger: Recommender, champion: Recommender, translated: Translated, readers: Holdout
) -> Pair:
    """Each in its own words: what a translation takes is not the champion's fault."""
    told = [translated.told(history) for history in readers.histories]
    asked = {CHALLENGER: Asked(challenger, readers.histories), CHAMPION: Asked(champion, told)}
    with threadpool_limits(1, "blas"):  # as in serving
        taken = milliseconds_a_list(asked)
    return Pair(taken[CHALLENGER], taken[CHAMPION])
