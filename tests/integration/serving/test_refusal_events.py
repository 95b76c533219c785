import json

import pytest
from structlog.testing import capture_logs

from pipelines.errors import ArtifactError
from pipelines.storage.database import migrate
from pipelines.storage.outbox import Outbox
from pipelines.storage.unit_of_work import unit_of_work
from pipelines.storage.webhooks import WebhookRepository
from serving.model.refusal_events import RefusalEvents
from tests.serving_parts import Shelf, bundle

pytestmark = pytest.mark.integration


def test_a_champion_that_no_worker_can_serve_is_told_of_once(postgres_url: str):
    migrate(postgres_url)
    with unit_of_work(postgres_url) as session:
        WebhookRepository(session).add("https://hooks.example/", ["model.refused"])
    shelf = Shelf()
    slots = [shelf.slot(observers=[RefusalEvents(postgres_url, "hybrid")]) for _ in range(2)]
    for champion in (bundle(), ArtifactError("checksum differs")):
        shelf.publish(champion)
        for slot in slots:
            slot.refresh()
    with unit_of_work(postgres_url) as session:
        (told,) = Outbox(session).all(None, 10)
    data = json.loads(told.body)["data"]
    assert data == {
        "by": "service",
        "model": "hybrid",
        "version": 2,
        "reasons": [],
        "in_service": 1,
    }


def test_a_registry_out_of_reach_refuses_no_model(postgres_url: str):
    migrate(postgres_url)
    with unit_of_work(postgres_url) as session:
        WebhookRepository(session).add("https://hooks.example/", [])
    shelf = Shelf()
    shelf.registry.failure = "no answer"
    shelf.slot(observers=[RefusalEvents(postgres_url, "hybrid")]).refresh()
    with unit_of_work(postgres_url) as session:
        assert Outbox(session).all(None, 10) == []


def test_without_postgresql_the_old_model_goes_on():
    shelf = Shelf()
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    slot = shelf.slot(observers=[RefusalEvents(nowhere, "hybrid")])
    shelf.publish(bundle())
    slot.refresh()
    shelf.publish(ArtifactError("checksum differs"))
    with capture_logs() as logs:
        slot.refresh()
    assert slot.loaded().number == 1
    assert "event_lost" in [line["event"] for line in logs]
