"""Taking feedback in: kept first, then felt by the reader's very next answer."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Counter
from sqlalchemy.orm import Session

from pipelines.errors import CacheUnavailableError, FeedbackError
from pipelines.storage.cache_keys import recent_key
from pipelines.storage.erasures import ErasureKey
from pipelines.storage.feedback import Event, FeedbackRepository
from serving.caching.cache import RecommendationCache
from serving.caching.generations import Generations
from serving.database import Database
from serving.feedback.recent import lines_of
from serving.model.slot import LoadedModel, ModelSlot
from serving.readers import refuse_erased

log = structlog.get_logger()


@dataclass(frozen=True)
class Receipt:
    """What became of events."""

    accepted: int
    repeated: int
    """Told before under the same key: nothing changed."""
    unknown_books: tuple[str, ...]
    """Kept all the same: the next model may know them."""


class Feedback:
    """
    Keeps what readers did and lets their next answers know.

    Args:
        slot: Whose model says which library the readers are of, and how they rate.
        database: Where events are kept: what is not kept there was not accepted.
        cache: Where the model in service finds them; without it they count from the next training.
        generations: Of readers; answers that were remembered for an older one are not used.
        key: Recognises readers who were erased.
    """

    def __init__(
        self,
        slot: ModelSlot,
        database: Database,
        cache: RecommendationCache,
        generations: Generations,
        key: ErasureKey,
        *,
        model_name: str,
        seconds: int,
        counted: Counter,
    ) -> None:
        self._slot = slot
        self._database = database
        self._cache = cache
        self._generations = generations
        self._key = key
        self._model_name = model_name
        self._seconds = seconds
        self._counted = counted

    async def take(self, events: Sequence[Event]) -> Receipt:
        """
        Keep events; told twice, they count once.

        Raises:
            NoModelError: nobody knows which library these readers are of.
            FeedbackError: a rating off the scale, or a reader who was erased; nothing is kept.
            RepeatedKeyError: an id stands for something else already; nothing is kept.
            StorageError: the database is away; nothing is kept.
        """
        model = self._slot.loaded()
        refuse_off_scale(model, [event.rating for event in events])
        added = await self._database.within(lambda session: self._keep(session, model, events))
        fresh = [event for event in events if event.event_id in added]
        await self._let_know(fresh)
        for event in fresh:
            self._counted.labels(event.kind, str(event.recommendation_id is not None).lower()).inc()
        parse = model.bundle.books.parse
        unknown = dict.fromkeys(e.book_id for e in events if parse(e.book_id) is None)
        return Receipt(len(fresh), len(events) - len(fresh), tuple(unknown))

    def _keep(self, session: Session, model: LoadedModel, events: Sequence[Event]) -> set[object]:
        readers = list({event.user_id for event in events})
        refuse_erased(session, self._key, model.library, readers)
        return set(FeedbackRepository(session, model.library).add(events))

    async def _let_know(self, events: Sequence[Event]) -> None:
        by_reader: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            by_reader[event.user_id].append(event)
        lines = {user_id: lines_of(told) for user_id, told in by_reader.items()}
        try:
            await self._cache.append(
                {recent_key(self._model_name, u): line for u, line in lines.items() if line},
                self._seconds,
            )
        except CacheUnavailableError as error:
            log.warning("feedback_waits_for_training", reason=str(error))
        # Last: an answer that is remembered from now on knows of the events.
        for user_id in by_reader:
            self._generations.renew(user_id)


def refuse_off_scale(model: LoadedModel, ratings: Iterable[float | None]) -> None:
    """
    Let nobody rate as no reader of this library can.

    Raises:
        FeedbackError: one of these is off the scale.
    """
    scale = model.bundle.config.rating_scale
    if scale is None:
        return
    low, high = scale
    for rating in ratings:
        if rating is not None and not low <= rating <= high:
            raise FeedbackError(f"readers rate from {low:g} to {high:g} here, not {rating:g}")
