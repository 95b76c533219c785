"""What keeps slots up to date while the service runs: a thread each, and a word from Redis."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from serving.model.announcements import Announcements
from serving.model.slot import ModelSlot

STOP_SECONDS = 2.0
"""How long a stop waits for a model that is just being loaded."""


@asynccontextmanager
async def following(
    slots: Sequence[ModelSlot], announcements: Announcements | None, poll_seconds: float
) -> AsyncIterator[None]:
    """Let slots follow their aliases for as long as the context is open."""
    threads = [
        threading.Thread(target=slot.poll, args=(poll_seconds,), name=slot.alias, daemon=True)
        for slot in slots
    ]
    for thread in threads:
        thread.start()
    listening = asyncio.create_task(announcements.follow()) if announcements is not None else None
    try:
        yield
    finally:
        for slot in slots:
            slot.stop()
        for thread in threads:
            await asyncio.to_thread(thread.join, STOP_SECONDS)
        if listening is not None:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
