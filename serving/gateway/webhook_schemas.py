"""What is asked and answered about webhooks."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.events import EventType

EventTypes = Annotated[
    list[EventType],
    Field(max_length=100, description="Empty for all.", examples=[["model.promoted"]]),
]
Moment = Annotated[datetime, Field(examples=["2026-03-01T18:30:00Z"])]


class NewWebhook(BaseModel):
    """Where to send events."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="https, and of the internet.",
        examples=["https://example.org/hook"],
    )
    event_types: EventTypes = []


class WebhookReport(BaseModel):
    """Somebody who is told of events."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[1])
    url: str = Field(examples=["https://example.org/hook"])
    event_types: tuple[str, ...] = Field(description="Empty for all.", examples=[[]])
    active: bool = Field(description="False once it answered 410 (gone).", examples=[True])
    added_at: Moment


class ShownWebhook(WebhookReport):
    """A new one, with its secret, which is shown this once."""

    secret: str = Field(
        description="Signs what is sent, after Standard Webhooks.", examples=["whsec_MfKQ9r8G…"]
    )


class DeliveryReport(BaseModel):
    """An event on its way to one endpoint."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[41])
    webhook_id: int = Field(examples=[1])
    event_id: str = Field(
        description="The `webhook-id` of each attempt.",
        examples=["2f1c7a52-6c0e-5d07-9a51-3b1f0c2b0a1d"],
    )
    event_type: str = Field(examples=["model.promoted"])
    state: Literal["pending", "delivered", "dead"]
    attempts: int = Field(examples=[9])
    due_at: Moment
    last_error: str | None = Field(examples=["answered 500"])
    created_at: Moment
    ended_at: datetime | None = Field(examples=["2026-03-06T07:01:00Z"])
