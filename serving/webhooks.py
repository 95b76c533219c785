"""Who is told of events, and what became of those: managed by administrators; knows no HTTP."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pipelines.errors import WebhookError
from pipelines.settings import Settings
from pipelines.storage.audit import Acting
from pipelines.storage.outbox import Delivery, Outbox, State
from pipelines.storage.webhooks import Endpoint, WebhookRepository
from pipelines.webhooks.endpoints import checked_endpoint
from serving.security.accounts import Accounts


class Webhooks:
    """
    Endpoints and deliveries; what changes them is on record.

    Every method raises StorageError while the database is away.
    """

    def __init__(self, settings: Settings, accounts: Accounts) -> None:
        self._settings = settings
        self._accounts = accounts

    async def all(self) -> list[Endpoint]:
        """Every endpoint, those that were switched off too."""
        return await self._accounts.read(lambda session: WebhookRepository(session).all())

    async def add(self, url: str, event_types: Sequence[str], acting: Acting) -> Endpoint:
        """
        A new endpoint, with the secret that it is told this once.

        Raises:
            WebhookError: the address may not be called, or is told already.
        """
        act = acting("webhook.add", "webhook")
        try:
            # In a thread of its own: a resolver that hangs must not keep the database's.
            parsed = await asyncio.to_thread(checked_endpoint, self._settings, url)
        except WebhookError:
            await self._accounts.note(act, "failed")
            raise
        # Not the address: what stands behind its host is often as good as a password.
        act = replace(act, target=f"webhook:{parsed.host}")
        return await self._accounts.act(
            act, lambda session: WebhookRepository(session).add(url, event_types)
        )

    async def remove(self, webhook_id: int, acting: Acting) -> None:
        """
        Forget an endpoint, and what was sent there.

        Raises:
            UnknownWebhookError: there is none.
        """
        act = acting("webhook.remove", f"webhook:{webhook_id}")
        await self._accounts.act(act, lambda session: WebhookRepository(session).remove(webhook_id))

    async def deliveries(self, state: State | None, n: int) -> list[Delivery]:
        """The last `n`, newest first; of one state, or of any."""
        return await self._accounts.read(lambda session: Outbox(session).all(state, n))

    async def retry(self, delivery_id: int, acting: Acting) -> Delivery:
        """
        Begin a delivery anew: it is due at once.

        Raises:
            UnknownWebhookError: there is none.
            WebhookError: its endpoint is switched off.
        """
        act, now = acting("webhook.retry", f"delivery:{delivery_id}"), datetime.now(UTC)
        return await self._accounts.act(
            act, lambda session: Outbox(session).retry(delivery_id, now)
        )
