import threading
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from pipelines.errors import ArtifactError
from pipelines.registry import CHALLENGER, CHAMPION
from pipelines.service_settings import AbTestSettings
from serving.model.ab_test import MAX_WAITING, Trial, overlap
from tests.fakes import FakeBundle
from tests.serving_parts import Shelf, bundle, client, parts

READERS = [str(number) for number in range(1, 21)]
HALF = {"alias": CHALLENGER, "share": 0.5}
SHADOW = {"alias": CHALLENGER, "share": 1.0, "shadow": True}


@pytest.fixture
def both(shelf: Shelf) -> Shelf:
    """Version 1 is champion, version 2 challenger; their titles tell them apart."""
    shelf.publish(bundle(title="Old"))
    shelf.publish(bundle(title="Tried"), CHALLENGER)
    return shelf


def trial(**settings: Any) -> Trial:
    return Trial(Shelf().slot(alias=CHALLENGER), AbTestSettings(alias=CHALLENGER, **settings))


def versions(http: TestClient) -> dict[str, int]:
    """Who is answered by which version, where the books tell the same."""
    told = {}
    for reader in READERS:
        answer = http.get(f"/api/v1/users/{reader}/recommendations").json()
        title = answer["items"][0]["title"].split()[0]
        assert title == {1: "Old", 2: "Tried"}[answer["model_version"]]
        told[reader] = answer["model_version"]
    return told


def samples(http: TestClient, name: str) -> dict[tuple[str, ...], float]:
    """Values by labels, those in the order of their names."""
    families = text_string_to_metric_families(http.get("/metrics").text)
    return {
        tuple(v for _, v in sorted(s.labels.items())): s.value
        for f in families
        for s in f.samples
        if s.name == name
    }


def test_without_an_alias_nothing_is_on_trial(both: Shelf):
    components = parts(both)
    assert components.trial is None
    with client(components) as http:
        assert set(versions(http).values()) == {1}


def test_a_share_of_the_readers_is_answered_by_the_challenger_and_always_the_same(both: Shelf):
    with client(parts(both, ab_test=HALF)) as http:
        first, again = versions(http), versions(http)
        assert samples(http, "bookrec_recommendations_total") == {
            ("model", "1"): list(first.values()).count(1),
            ("model", "2"): list(first.values()).count(2),
            ("cache", "1"): list(first.values()).count(1),
            ("cache", "2"): list(first.values()).count(2),
        }
        assert samples(http, "bookrec_model_info") == {(CHAMPION, "1"): 1, (CHALLENGER, "2"): 1}
    assert set(first.values()) == {1, 2}
    assert again == first


def test_a_share_is_a_share_and_grows_without_losing_anyone():
    readers = [str(number) for number in range(10_000)]
    few, more = ({r for r in readers if trial(share=share).draws(r)} for share in (0.2, 0.5))
    assert 0.18 < len(few) / len(readers) < 0.22
    assert 0.48 < len(more) / len(readers) < 0.52
    assert few < more
    assert not any(trial(share=0).draws(r) for r in readers)
    assert all(trial(share=1).draws(r) for r in readers)


def test_another_salt_draws_other_readers():
    one, other = (
        {r for r in READERS if trial(share=0.5, salt=salt).draws(r)} for salt in ("a", "b")
    )
    assert one != other


def test_ids_that_are_no_unicode_are_drawn_too():
    assert trial(share=1).draws("\udcff")


def test_a_challenger_that_is_refused_serves_nobody_and_is_named(both: Shelf):
    components = parts(both, ab_test=HALF)
    with client(components) as http:
        assert set(versions(http).values()) == {1, 2}
        both.publish(ArtifactError("checksum differs"), CHALLENGER)
        components.trial.slot.refresh()
        assert set(versions(http).values()) == {1}
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert ready.json()["checks"]["ab_test"] == {
            "ok": False,
            "detail": "version 3 was refused: checksum differs",
        }


def test_an_alias_that_is_gone_ends_the_trial(both: Shelf):
    components = parts(both, ab_test=HALF)
    with client(components) as http:
        del both.registry._aliases[CHALLENGER]
        components.trial.slot.refresh()
        assert set(versions(http).values()) == {1}
        assert (
            http.get("/readyz")
            .json()["checks"]["ab_test"]["detail"]
            .startswith("no challenger yet")
        )


def test_an_unreachable_registry_does_not_end_the_trial(both: Shelf):
    components = parts(both, ab_test=HALF)
    with client(components) as http:
        both.registry.failure = "connection refused"
        components.trial.slot.refresh()
        assert set(versions(http).values()) == {1, 2}


def test_a_challenger_that_became_champion_is_not_compared_with_itself(shelf: Shelf):
    shelf.publish(bundle(title="Old"))
    shelf.registry.set_alias(CHALLENGER, 1)
    with client(parts(shelf, ab_test=SHADOW)) as http:
        assert set(versions(http).values()) == {1}
        assert samples(http, "bookrec_shadow_lists_total") == {}


def test_without_a_champion_a_challenger_answers_nobody(shelf: Shelf):
    shelf.publish(bundle(), CHALLENGER)
    with client(parts(shelf, ab_test={"alias": CHALLENGER, "share": 1.0})) as http:
        assert http.get("/api/v1/users/3/recommendations").status_code == 503
        assert http.get("/readyz").status_code == 503


def test_a_shadow_answers_nobody_and_is_compared(both: Shelf):
    with client(parts(both, ab_test=SHADOW)) as http:
        assert set(versions(http).values()) == {1}
        _until(lambda: samples(http, "bookrec_shadow_lists_total") == {("compared",): 20})
        assert samples(http, "bookrec_shadow_overlap_sum") == {("1", "2"): 20}


def test_a_shadow_that_fails_or_is_slow_is_no_reader_s_trouble(shelf: Shelf):
    release = threading.Event()

    class Slow(FakeBundle):
        def recommend(self, user_id: str, n: int, *, explain: bool = True):
            if n > 1:  # beyond what the slot asks before it takes a model
                release.wait(5)
                raise MemoryError
            return super().recommend(user_id, n, explain=explain)

    shelf.publish(bundle(title="Old"))
    shelf.publish(Slow(bundle().users, bundle().books), CHALLENGER)
    with client(parts(shelf, ab_test=SHADOW)) as http:
        assert set(versions(http).values()) == {1}
        left_out = len(READERS) - MAX_WAITING
        assert samples(http, "bookrec_shadow_lists_total") == {("left_out",): left_out}
        release.set()
        _until(
            lambda: (
                samples(http, "bookrec_shadow_lists_total")
                == {("left_out",): left_out, ("failed",): MAX_WAITING}
            )
        )


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("abcd", "cdef", 0.5), ("abcd", "ab", 0.5), ("", "", 1), ("", "a", 0), ("ab", "ba", 1)],
)
def test_overlap_is_the_shared_part_of_the_longer_list(one: str, other: str, expected: float):
    assert overlap(set(one), set(other)) == expected


def _until(holds) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
