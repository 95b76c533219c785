"""Who is told when something happens."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, status

from pipelines.storage.outbox import State
from serving.gateway.deps import ActOf, Parts
from serving.gateway.errors import described
from serving.gateway.webhook_schemas import (
    DeliveryReport,
    NewWebhook,
    ShownWebhook,
    WebhookReport,
)

Number = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]

router = APIRouter(prefix="/admin/webhooks", tags=["admin"], responses=described(422, 503))


@router.get("", summary="Webhooks")
async def webhooks(parts: Parts) -> list[WebhookReport]:
    """Everybody who is told, and who no longer wants to be."""
    return [WebhookReport.model_validate(found) for found in await parts.webhooks.all()]


@router.post("", summary="Add a webhook", status_code=status.HTTP_201_CREATED)
async def add(asked: NewWebhook, parts: Parts, act_of: ActOf) -> ShownWebhook:
    """Its secret is in this answer and never shown again. Private addresses are refused."""
    added = await parts.webhooks.add(asked.url, asked.event_types, act_of)
    return ShownWebhook.model_validate(added)


@router.delete(
    "/{webhook_id}",
    summary="Remove a webhook",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=described(404),
)
async def remove(webhook_id: Number, parts: Parts, act_of: ActOf) -> None:
    """Nothing is sent there any more, and what was sent is forgotten."""
    await parts.webhooks.remove(webhook_id, act_of)


@router.get("/deliveries", summary="What was sent, and is to be")
async def deliveries(
    parts: Parts,
    state: Annotated[
        State | None, Query(description="All if not given.", examples=["dead"])
    ] = None,
    n: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[DeliveryReport]:
    """Newest first; those that were given up are `dead`."""
    found = await parts.webhooks.deliveries(state, n)
    return [DeliveryReport.model_validate(delivery) for delivery in found]


@router.post(
    "/deliveries/{delivery_id}/retry",
    summary="Send again",
    status_code=status.HTTP_202_ACCEPTED,
    responses=described(404),
)
async def retry(delivery_id: Number, parts: Parts, act_of: ActOf) -> DeliveryReport:
    """Due at once, with all its attempts; Airflow or `bookrec webhooks deliver` sends it."""
    again = await parts.webhooks.retry(delivery_id, act_of)
    return DeliveryReport.model_validate(again)
