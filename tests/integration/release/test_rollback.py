"""Rolling back, on real PostgreSQL and MLflow."""

import json
import threading
from collections.abc import Callable

import pytest
import redis
from pydantic import SecretStr

from pipelines.errors import ReleaseError, UnknownVersionError
from pipelines.registry import CHAMPION
from pipelines.release import rollback
from pipelines.release.rollback import roll_back
from pipelines.storage.cache_keys import champion_channel
from pipelines.storage.outbox import Outbox
from pipelines.storage.unit_of_work import unit_of_work
from pipelines.storage.webhooks import WebhookRepository
from tests.integration.release.conftest import Releases

pytestmark = pytest.mark.integration


def listen(releases: Releases) -> None:
    with unit_of_work(releases.url) as session:
        WebhookRepository(session).add("https://127.0.0.1:9/nobody", ())


def told(releases: Releases) -> list[tuple[str, int]]:
    """Type and version of every event, oldest first."""
    with unit_of_work(releases.url) as session:
        written = Outbox(session).all(None, 100)
    return [(d.event_type, json.loads(d.body)["data"]["version"]) for d in reversed(written)]


def test_the_champion_before_this_one_is_champion_again_and_the_history_says_why(
    releases: Releases,
):
    listen(releases)
    releases.released(2)
    move = releases.roll_back()
    assert releases.champion == 1
    assert releases.path == [(None, 1, True), (1, 2, True), (2, 1, True)]
    first, _, last = releases.moves
    assert (first.action, first.who, first.why) == ("promote", "run:run-1", "passed: better")
    assert (last.action, last.who, last.why) == ("rollback", "cli:ann", "complaints")
    assert last.number == move.number
    assert told(releases) == [
        ("model.promoted", 1), ("model.promoted", 2), ("model.rolled_back", 1),
    ]  # fmt: skip


def test_one_rollback_after_the_other_goes_further_back_and_none_goes_forth(releases: Releases):
    releases.released(3)
    assert [releases.roll_back().to_version for _ in range(2)] == [2, 1]
    with pytest.raises(ReleaseError, match="no champion before version 1 is on record"):
        releases.roll_back()
    assert releases.champion == 1


def test_what_was_rolled_back_is_not_promoted_by_a_stage_that_is_repeated(releases: Releases):
    releases.released(2)
    releases.roll_back()
    assert releases.promote(2) is None
    assert releases.promote(1) is None
    assert releases.champion == 1
    assert releases.promote(releases.register()) is not None
    assert releases.champion == 3
    assert releases.roll_back().to_version == 1


def test_a_version_can_be_named_also_a_newer_one(releases: Releases):
    releases.released(3)
    releases.roll_back(1)
    releases.roll_back(3)
    assert releases.path[-2:] == [(3, 1, True), (1, 3, True)]
    assert releases.champion == 3


def test_a_rollback_is_announced(releases: Releases, redis_url: str):
    releases.released(2)
    settings = releases.settings.model_copy(update={"redis_url": SecretStr(redis_url)})
    with redis.Redis.from_url(redis_url) as raw, raw.pubsub() as heard:
        heard.subscribe(champion_channel(releases.model))
        heard.get_message(timeout=5)
        roll_back(settings, releases.registry, who="cli:ann", why="complaints")
        message = heard.get_message(timeout=5)
    assert json.loads(message["data"]) == {"model": releases.model, "version": 1}


def refused(releases: Releases, said: str, to: int | None = None, **changes: object) -> None:
    """In one line, and nothing has changed."""
    champion, moves = releases.champion, releases.moves
    with pytest.raises(ReleaseError, match=said) as caught:
        releases.roll_back(to, **changes)
    assert "\n" not in str(caught.value)
    assert (releases.champion, releases.moves) == (champion, moves)


def test_without_a_champion_there_is_nothing_to_roll_back(releases: Releases):
    refused(releases, "there is no champion to roll back")


def test_the_first_champion_has_none_before_it(releases: Releases):
    releases.released(1)
    refused(releases, "no champion before version 1 is on record: name a version")


def test_the_champion_itself_an_unknown_version_and_no_reason_are_refused(releases: Releases):
    releases.released(2)
    refused(releases, "version 2 is champion already", 2)
    refused(releases, "say why", 1, why="  ")
    with pytest.raises(UnknownVersionError, match="there is no version 9"):
        releases.roll_back(9)


@pytest.mark.parametrize(
    ("accepted", "said"),
    [(False, r"refused by the gate \(failed: no better\)"), (None, "never judged by the gate")],
)
def test_what_the_gate_has_not_accepted_has_to_be_forced(
    releases: Releases, accepted: bool | None, said: str
):
    other = releases.register(accepted=accepted)
    releases.promote(releases.register())
    refused(releases, said, other)
    releases.roll_back(other, force=True)
    assert releases.champion == other


def test_a_bundle_with_another_checksum_is_refused_also_if_forced(releases: Releases):
    releases.released(2)
    array = next(releases.bundle(1).rglob("*.npy"))
    content = bytearray(array.read_bytes())
    content[-1] ^= 0xFF
    array.write_bytes(content)
    refused(releases, "version 1 cannot be served: .*checksum")
    refused(releases, "version 1 cannot be served: .*checksum", force=True)


def test_a_bundle_that_is_gone_is_refused(releases: Releases):
    releases.released(2)
    (releases.bundle(1) / "manifest.json").unlink()
    refused(releases, "version 1 cannot be served: no model bundle")


def test_a_bundle_that_changed_its_golden_answers_is_refused(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
):
    releases.released(2)
    monkeypatch.setattr("pipelines.models.golden.TOLERANCE", -1.0)  # as if libraries had changed
    refused(releases, "version 1 cannot be served: the model no longer gives its golden answers")


class Killed(BaseException):
    """The end of a process."""


def die(*_: object, **__: object) -> None:
    raise Killed


def after(step: Callable[..., object]) -> Callable[..., None]:
    def run(*args: object, **kwargs: object) -> None:
        step(*args, **kwargs)
        raise Killed

    return run


KILLED_AT = {
    "before the record": ("record", False),
    "before the alias": ("set_alias", False),
    "after the alias": ("set_alias", True),
    "before the end is on record": ("complete", False),
}


@pytest.mark.parametrize("at", KILLED_AT)
@pytest.mark.parametrize("to", [None, 1])
def test_who_is_killed_between_two_steps_does_the_same_again_and_it_is_done_once(
    releases: Releases, monkeypatch: pytest.MonkeyPatch, at: str, to: int | None
):
    listen(releases)
    releases.released(3)
    with monkeypatch.context() as patch:
        _kill(patch, releases, at)
        with pytest.raises(Killed):
            releases.roll_back(to)
    moved = at in ("after the alias", "before the end is on record")
    target = to or 2
    assert releases.champion == (target if moved else 3)
    begun = releases.path[3:]
    assert begun == ([] if at == "before the record" else [(3, target, False)])
    releases.roll_back(to)
    assert releases.champion == target
    assert releases.path[3:] == [(3, target, True)]
    assert told(releases)[3:] == [("model.rolled_back", target)]


@pytest.mark.parametrize("at", KILLED_AT)
def test_a_promotion_killed_between_two_steps_is_finished_by_a_repeated_stage(
    releases: Releases, monkeypatch: pytest.MonkeyPatch, at: str
):
    listen(releases)
    releases.released(1)
    version = releases.register()
    with monkeypatch.context() as patch:
        _kill(patch, releases, at)
        with pytest.raises(Killed):
            releases.promote(version)
    for _ in range(2):
        releases.promote(version)
    assert releases.champion == 2
    assert releases.path == [(None, 1, True), (1, 2, True)]
    assert told(releases) == [("model.promoted", 1), ("model.promoted", 2)]


def test_the_record_catches_up_with_an_alias_whoever_comes_next(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
):
    releases.released(2)
    with monkeypatch.context() as patch:
        _kill(patch, releases, "after the alias")
        with pytest.raises(Killed):
            releases.roll_back()
    releases.promote(releases.register())
    assert releases.path[1:] == [(1, 2, True), (2, 1, True), (1, 3, True)]


def test_a_move_that_never_happened_stays_on_record_as_that(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
):
    releases.released(2)
    with monkeypatch.context() as patch:
        _kill(patch, releases, "before the alias")
        with pytest.raises(Killed):
            releases.roll_back()
    releases.promote(releases.register())
    assert releases.path[1:] == [(1, 2, True), (2, 1, False), (2, 3, True)]
    assert releases.roll_back().to_version == 2


def test_of_two_at_once_one_wins_and_the_other_says_why(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
):
    releases.released(3)
    both_have_looked = threading.Barrier(2, timeout=30)
    check = rollback.check_servable
    outcomes: list[str] = []

    def wait(*args: object) -> None:
        check(*args)
        both_have_looked.wait()

    def act(who: str) -> None:
        try:
            outcomes.append(f"{who} {releases.roll_back(who=who).to_version}")
        except ReleaseError as error:
            outcomes.append(f"{who} {error}")

    monkeypatch.setattr(rollback, "check_servable", wait)
    people = [threading.Thread(target=act, args=(who,)) for who in ("cli:ann", "cli:bob")]
    for one in people:
        one.start()
    for one in people:
        one.join(60)
    winner = releases.moves[-1].who
    (loser,) = {"cli:ann", "cli:bob"} - {winner}
    assert sorted(outcomes) == sorted(
        [
            f"{winner} 2",
            f"{loser} {winner} was faster and made version 2 champion (complaints): "
            "look at `bookrec models history`, and roll back again if it is still wanted",
        ]
    )
    assert releases.path[3:] == [(3, 2, True)]


def test_an_alias_that_was_moved_by_hand_is_where_the_next_move_begins(releases: Releases):
    releases.released(3)
    releases.registry.set_alias(CHAMPION, 2)
    releases.roll_back()
    assert releases.path[-1] == (2, 1, True)


def _kill(patch: pytest.MonkeyPatch, releases: Releases, at: str) -> None:
    from pipelines.storage.alias_moves import AliasMoves

    name, done = KILLED_AT[at]
    owner = releases.registry if name == "set_alias" else AliasMoves
    patch.setattr(owner, name, after(getattr(owner, name)) if done else die)
