"""Before the stages: whether there is anything to load, and whether to train after it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.data.sources import create_source
from pipelines.registry import CHAMPION, RETRAIN_WANTED, MlflowRegistry
from pipelines.run_params import FEEDBACK, STORED, RunParams, trained_on, unattended_params
from pipelines.settings import Settings
from pipelines.stages.run_context import RunContext
from pipelines.storage.loads import LoadRepository
from pipelines.storage.sources.feedback import FeedbackSource
from pipelines.storage.stored_folder import file_sha256
from pipelines.storage.unit_of_work import unit_of_work


def nothing_new(ctx: RunContext) -> str:
    """
    Why there is nothing to load; empty where there may be something.

    Files are known by their checksums, whatever they are called. What has no files, such as a
    database, has to be read to be known; of one that is missing, the stage that reads it tells.
    """
    library = ctx.params.dataset
    if ctx.params.source == STORED:
        return f"nothing new: the source {STORED} is what was loaded already"
    if ctx.params.source == FEEDBACK:
        return _no_new_feedback(ctx)
    files = create_source(ctx.params.source, ctx.params.options).read(ctx.data_location).files
    if not all(file.is_file() for file in files):
        return ""
    with ctx.unit_of_work() as session:
        known = files and LoadRepository(session, library).has_files(map(file_sha256, files))
    return f"nothing new: what it holds was loaded into {library} before" if known else ""


def _no_new_feedback(ctx: RunContext) -> str:
    """Nothing is ever taken from what was told but by an erasure, so it is enough to count."""
    library = ctx.params.dataset
    told = FeedbackSource(library=library).count(ctx.database_url)
    with ctx.unit_of_work() as session:
        last = LoadRepository(session, library).last(source=FEEDBACK)
        known = last.rows["in"] if last else 0
    if told != known:
        return ""
    return f"nothing new: {told:,} ratings and reads were told of {library}, all loaded before"


def followed_library(settings: Settings) -> str | None:
    """The library that the champion was trained on; None without one."""
    champion = MlflowRegistry.from_settings(settings).by_alias(CHAMPION)
    return None if champion is None else trained_on(champion).dataset


@dataclass(frozen=True)
class Training:
    """Whether a run should train, and from what."""

    reason: str
    library: str | None = None
    """Train from what PostgreSQL holds of it; None where it does not matter."""
    wanted: bool = True

    @property
    def params(self) -> dict[str, str]:
        """What to tell a run: fields of `RunParams`."""
        return {"source": STORED, "data_path": self.library} if self.library else {}


def training_after(settings: Settings, libraries: Sequence[str]) -> Training:
    """
    Whether batches of these libraries are worth a training.

    They are where ratings changed since the champion learnt are a share of at least
    `loading.retrain_share`, or where the champion is marked for retraining anyway. A batch never
    replaces a model of your data by one of another library.

    Args:
        settings: Prepared ones.
        libraries: Of the batches that started this run, the newest last; none for a schedule.
    """
    if not libraries:
        return Training("no batch started this run: it trains in any case")
    registry = MlflowRegistry.from_settings(settings)
    champion = registry.by_alias(CHAMPION)
    followed = unattended_params(settings, registry, seed=RunParams().seed).dataset
    is_free = champion is None and settings.source is None
    if followed not in libraries and not is_free:
        told = ", ".join(dict.fromkeys(libraries))
        return Training(f"skipped: the batch is of {told}, models of {followed}", wanted=False)
    library = libraries[-1] if is_free else followed
    tags = champion.tags if champion else {}
    if marked := tags.get(RETRAIN_WANTED):
        return Training(f"the champion is marked for retraining: {marked}", library)
    is_same = champion is not None and trained_on(champion).dataset == library
    learnt = int(tags.get("load", 0)) if is_same else 0
    return _worth(settings, library, learnt)


def _worth(settings: Settings, library: str, learnt: int) -> Training:
    with unit_of_work(settings.known_database_url) as session:
        loads = LoadRepository(session, library)
        changed, last = loads.changes_since(learnt), loads.last()
        total = last.total if last else 0
    share, least = changed / max(total, 1), settings.loading.retrain_share
    told = f"{changed:,} of {total:,} ratings of {library} changed since the champion learnt"
    if share < least:
        reason = f"skipped: {told}, less than {least:.2%} (BOOKREC_LOADING__RETRAIN_SHARE)"
        return Training(reason, library, wanted=False)
    return Training(told, library)
