import asyncio

import pytest

from pipelines.service_settings import RateLimitSettings
from serving.security.limits import MAX_LEASES, RateLimiter

pytestmark = pytest.mark.anyio


def limiter(user: str) -> RateLimiter:
    return RateLimiter(RateLimitSettings(user=user))


async def test_as_many_pass_as_are_allowed():
    limits = limiter("3/minute")
    told = [await limits.spend("user", "ann") for _ in range(5)]
    assert [a.allowed for a in told] == [True, True, True, False, False]
    assert [a.remaining for a in told] == [2, 1, 0, 0, 0]
    assert told[-1].headers()["retry-after"] == told[-1].headers()["ratelimit-reset"]
    assert "retry-after" not in told[0].headers()


async def test_callers_and_policies_do_not_share():
    limits = limiter("1/minute")
    for policy, caller in [("user", "ann"), ("user", "bob"), ("user", "a/n:n%"), ("key", "ann")]:
        assert (await limits.spend(policy, caller)).allowed
    assert not (await limits.spend("user", "ann")).allowed


@pytest.mark.parametrize("amount", [50, 250, 1_000])
async def test_requests_taken_ahead_let_no_more_pass(amount: int):
    limits = limiter(f"{amount}/hour")
    told = await asyncio.gather(*(limits.spend("user", "ann") for _ in range(amount + 200)))
    assert sum(a.allowed for a in told) <= amount
    assert sum(a.allowed for a in told) >= amount * 0.9


async def test_what_is_taken_already_is_counted_without_asking_anybody():
    limits = limiter("500/minute")
    assert limits.spend_held("user", "ann") is None
    first = await limits.spend("user", "ann")
    held = [limits.spend_held("user", "ann") for _ in range(5)]
    assert [a and a.remaining for a in held] == [498, 497, 496, 495, None]
    assert first.remaining == 499


async def test_asking_for_the_state_costs_nothing():
    limits = limiter("500/minute")
    await limits.spend("user", "ann")
    told = [await limits.state("user", "ann") for _ in range(3)]
    assert {a.remaining for a in told} == {499}


async def test_it_remembers_no_more_callers_than_it_can_hold():
    limits = limiter("5/minute")
    for number in range(MAX_LEASES + 5):
        await limits.spend("user", str(number))
    assert len(limits._leases) == MAX_LEASES


async def test_who_is_refused_is_not_asked_about_again_at_once(monkeypatch: pytest.MonkeyPatch):
    limits = limiter("1/minute")
    await limits.spend("user", "ann")
    assert not (await limits.spend("user", "ann")).allowed
    monkeypatch.setattr(limits, "_asked", None)
    assert not (await limits.spend("user", "ann")).allowed
