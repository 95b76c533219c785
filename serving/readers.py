"""Readers made, looked at and erased; knows nothing of HTTP."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from pipelines.erasure.act import Told
from pipelines.errors import FeedbackError, UnknownReaderError
from pipelines.storage.erasures import ErasureKey, ErasureRepository
from pipelines.storage.readers import ReaderRepository, StoredReader
from serving.caching.generations import Generations
from serving.database import Database
from serving.model.slot import ModelSlot

log = structlog.get_logger()

PATIENCE_SECONDS = 5.0
"""How long a request waits for an erasure; it goes on, and may be asked for again."""

Forget = Callable[[str, str], Told]
"""From a reader and a library to what was removed."""


@dataclass(frozen=True)
class KnownReader:
    """What is known of a reader: kept in the library, and learnt by the model in service."""

    created_at: datetime | None
    ratings: int
    events: int
    in_model: bool
    books_met: int
    books_liked: int


@dataclass(frozen=True)
class Erased:
    """How far an erasure is; what is not done yet is `finished` by asking again."""

    finished: bool
    removed: dict[str, int]
    problems: tuple[str, ...] = ()


class Readers:
    """
    The readers of the library that the model in service was trained on.

    Every method raises NoModelError without one, and StorageError without the database.
    """

    def __init__(
        self,
        slot: ModelSlot,
        database: Database,
        generations: Generations,
        key: ErasureKey,
        forget: Forget,
    ) -> None:
        self._slot = slot
        self._database = database
        self._generations = generations
        self._key = key
        self._forget = forget
        self._erasing: dict[str, asyncio.Task[Told]] = {}

    async def add(self, user_id: str) -> bool:
        """
        Make a reader; False where there is one.

        Raises:
            FeedbackError: they were erased.
        """
        library = self._slot.loaded().library

        def made(session: Session) -> bool:
            refuse_erased(session, self._key, library, [user_id])
            return ReaderRepository(session, library).add(user_id)

        is_new = await self._database.within(made)
        if is_new:
            self._generations.renew(user_id)
        return is_new

    async def find(self, user_id: str) -> KnownReader:
        """
        What is known of a reader.

        Raises:
            UnknownReaderError: nothing.
        """
        model = self._slot.loaded()
        stored: StoredReader | None = await self._database.read(
            lambda session: ReaderRepository(session, model.library).find(user_id),
            age=self._generations.age(user_id),
        )
        in_model = model.bundle.users.parse(user_id) is not None
        if stored is None and not in_model:
            raise UnknownReaderError(f"nothing is known of a reader {user_id!r}")
        history = model.bundle.history(user_id)
        return KnownReader(
            created_at=stored.created_at if stored else None,
            ratings=stored.ratings if stored else 0,
            events=stored.events if stored else 0,
            in_model=in_model,
            books_met=len(history),
            books_liked=len(history.liked),
        )

    async def erase(self, user_id: str) -> Erased:
        """
        Erase a reader wherever something is kept of them, or join who is at it.

        Raises:
            UnknownReaderError: nothing is kept, and no erasure is on record.
        """
        library = self._slot.loaded().library
        task = self._erasing.get(user_id)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._forget, user_id, library))
            self._erasing[user_id] = task
            task.add_done_callback(lambda done: self._ended(user_id, done))
        try:
            told = await asyncio.wait_for(asyncio.shield(task), PATIENCE_SECONDS)
        except TimeoutError:
            return Erased(finished=False, removed={})
        removed = sum((Counter(r) for r in told.removed.values()), Counter[str]())
        return Erased(not told.problems, dict(removed), tuple(told.problems))

    def _ended(self, user_id: str, task: "asyncio.Task[Told]") -> None:
        del self._erasing[user_id]
        self._generations.renew(user_id)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("erasure_failed", reason=str(error))  # not whose


def refuse_erased(session: Session, key: ErasureKey, library: str, user_ids: list[str]) -> None:
    """
    Let nobody bring back who was erased.

    Raises:
        FeedbackError: one of these readers was.
    """
    erased = ErasureRepository(session, key).hashes(library)
    if erased and any(key.hash(library, user_id) in erased for user_id in user_ids):
        raise FeedbackError(
            "a reader of these was erased: `bookrec forget --allow-again` lets them come back"
        )
