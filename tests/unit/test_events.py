import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.events import BatchRefused, ModelRefused
from pipelines.storage.outbox import payload

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def refused(occasion: str, occurred_at: datetime = WHEN) -> ModelRefused:
    return ModelRefused(occasion=occasion, occurred_at=occurred_at, by="gate", model="m", version=1)


@given(st.text(), st.text())
def test_events_have_one_id_where_their_occasion_is_one(one: str, other: str):
    """Whenever it is told; and no id holds a full stop, which would blur what is signed."""
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert (refused(one).id == refused(other, later).id) == (one == other)
    assert "." not in refused(one).id


def test_events_of_two_types_never_share_an_id():
    batch = BatchRefused(
        occasion="run-1", dataset="shop", run_id="run-1", suite="ratings", failed=1, report="x"
    )
    assert batch.id != refused("run-1").id


def test_an_event_does_not_change():
    with pytest.raises(ValidationError):
        refused("run-1").version = 2


def test_a_message_holds_the_fields_of_its_event_and_nothing_of_the_occasion():
    event = refused("a secret of the sender")
    data = event.model_dump(mode="json")
    body = payload(event.type, event.id, event.occurred_at, data)
    assert json.loads(body) == {
        "type": "model.refused",
        "id": event.id,
        "timestamp": "2026-01-01T00:00:00+00:00",
        "data": {"by": "gate", "model": "m", "version": 1, "reasons": [], "in_service": None},
    }
