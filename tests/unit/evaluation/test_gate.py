import dataclasses
import json

import numpy as np
import pytest

from pipelines.evaluation.bootstrap import Difference, paired_difference
from pipelines.evaluation.gate import Evidence, decide
from pipelines.evaluation.rival import AgainstChampion, NotCompared, Pair
from pipelines.pipeline_settings import GateSettings

NOISE = np.random.default_rng(5).random(200) * 0.2
BASE = 0.1 + NOISE
CLEARLY = Difference(0.1, 0.08, 0.12, 200)


def change(mean: float, *, within: float = 0.0, n: int = 200) -> Difference:
    return Difference(mean, mean - within, mean + within, n)


BETTER = change(0.05)


def against(gain: Difference = BETTER, **changes: object) -> AgainstChampion:
    told = {
        "version": 3,
        "slices": {},
        "coverage_at_10": Pair(0.5, 0.5),
        "milliseconds": Pair(10.0, 10.0),
    }
    return AgainstChampion(gain=gain, **(told | changes))


def judge(over_popularity: Difference = CLEARLY, rules=None, **known: object):
    evidence = {"quality_score": 90.0, "champion": against()} | known
    return decide(Evidence(over_popularity, **evidence), GateSettings(**(rules or {})))


def of(decision, name):
    (check,) = (c for c in decision.checks if c.name == name)
    return check


def failed(decision) -> list[str]:
    assert decision.accepted == all(c.passed for c in decision.checks)
    return [c.name for c in decision.checks if not c.passed]


def paired(a, b) -> Difference:
    return paired_difference(np.asarray(a), np.asarray(b), rng=np.random.default_rng(0))


def test_a_better_model_passes_every_rule_and_the_decision_says_by_what():
    decision = judge()
    assert failed(decision) == []
    assert [c.name for c in decision.checks] == [
        *("gain_over_popularity", "gain_over_champion", "coverage", "latency", "data_quality"),
    ]
    assert all(reason.startswith("passed: ") for reason in decision.reasons)
    assert decision.champion == 3
    assert decision.rules["minimum_gain"] == -0.01


# --- popularity


def test_a_later_model_has_to_be_proven_better_than_popularity():
    assert failed(judge(paired(BASE + 0.1, BASE))) == []
    equal = judge(paired(BASE, BASE))
    assert failed(equal) == ["gain_over_popularity"]
    assert equal.reasons[0].startswith("failed: ndcg_at_10 gain over popularity is +0.0000")


def test_a_gain_within_chance_is_no_proof():
    noise = np.random.default_rng(1).normal(0, 0.2, 200)
    check = of(judge(paired(BASE + noise - noise.mean() + 0.005, BASE)), "gain_over_popularity")
    assert not check.passed
    assert check.value < 0 == check.threshold
    assert check.interval.mean == pytest.approx(0.005)


def test_more_can_be_asked_for_than_no_less_than_popularity():
    assert failed(judge(rules={"minimum_gain_over_popularity": 0.05})) == []
    refused = judge(rules={"minimum_gain_over_popularity": 0.15})
    assert failed(refused) == ["gain_over_popularity"]


@pytest.mark.parametrize(
    ("gain", "accepted", "said"),
    [
        (change(-0.005, within=0.02), True, "upper 95 % bound over 200 readers"),
        (change(-0.019), True, "at least -0.0200"),
        (change(-0.05, within=0.01), False, "failed"),
        (change(-0.1, n=29), True, "29 readers are too few to refuse a first model"),
        (change(float("nan"), n=4), False, "nan"),
    ],
)
def test_a_first_model_must_only_not_be_proven_worse_than_popularity(gain, accepted, said):
    decision = judge(gain, champion=None)
    assert decision.accepted is accepted
    assert said in decision.reasons[0]
    assert decision.champion is None


# --- the champion


@pytest.mark.parametrize(
    ("gain", "accepted"),
    [
        (change(0.03, within=0.01), True),  # better
        (change(0.0), True),  # the same
        (change(0.0, within=0.009), True),  # as good, within the floor
        (change(0.0, within=0.02), False),  # perhaps as good, and perhaps not
        (change(-0.05, within=0.01), False),  # worse
        (change(-0.01), False),  # at the floor, not above it
    ],
)
def test_the_lower_bound_of_the_gain_over_the_champion_must_be_above_the_floor(gain, accepted):
    decision = judge(champion=against(gain))
    assert failed(decision) == ([] if accepted else ["gain_over_champion"])
    assert of(decision, "gain_over_champion").value == gain.low


def test_a_floor_of_zero_asks_for_proof_that_it_is_better():
    rules = {"minimum_gain": 0}
    assert failed(judge(rules=rules, champion=against(change(0)))) == ["gain_over_champion"]
    assert failed(judge(rules=rules, champion=against(change(0.02, within=0.01)))) == []


def test_of_few_readers_the_mean_decides_and_the_reason_says_so():
    decision = judge(champion=against(change(0, within=0.2, n=29)))
    assert failed(decision) == []
    assert "29 readers are too few for an interval" in decision.reasons[1]
    assert failed(judge(champion=against(change(-0.02, within=0.2, n=29)))) == [
        "gain_over_champion"
    ]


def test_faster_but_worse_is_worse():
    decision = judge(champion=against(change(-0.03), milliseconds=Pair(1.0, 40.0)))
    assert failed(decision) == ["gain_over_champion"]


# --- slices


def test_a_slice_that_is_proven_to_lose_more_than_its_tolerance_is_named_with_its_numbers():
    slices = {"readers_new": change(-0.05, within=0.02), "books_tail": change(0.01)}
    decision = judge(champion=against(slices=slices))
    assert failed(decision) == ["slice_readers_new"]
    (reason,) = (r for r in decision.reasons if r.startswith("failed"))
    assert "ndcg_at_10 of readers_new changes by -0.0300 (upper 95 % bound over 200" in reason
    assert of(decision, "slice_readers_new").interval == slices["readers_new"]


@pytest.mark.parametrize(
    "slices",
    [
        {"readers_new": change(-0.05, within=0.04)},  # may be luck
        {"readers_new": change(-0.5, n=29)},  # too few readers to say
        {"readers_new": change(-0.01)},  # within the tolerance
    ],
)
def test_bad_luck_of_a_slice_is_not_held_against_it(slices):
    assert failed(judge(champion=against(slices=slices))) == []


def test_slices_have_tolerances_of_their_own_and_one_reason_where_all_pass():
    slices = {"readers_new": change(-0.05), "books_tail": change(0.0)}
    rules = {"slice_tolerances": {"readers_new": 0.06}}
    decision = judge(rules=rules, champion=against(slices=slices))
    assert failed(decision) == []
    assert len(decision.checks) == 7
    assert [r for r in decision.reasons if "kinds of" in r] == [
        "passed: none of 2 kinds of readers and books is proven to lose too much"
    ]


# --- coverage, latency, data


def test_lists_that_show_fewer_of_the_books_are_refused():
    assert failed(judge(champion=against(coverage_at_10=Pair(0.4, 0.5)))) == []
    refused = judge(champion=against(coverage_at_10=Pair(0.39, 0.5)))
    assert failed(refused) == ["coverage"]
    assert of(refused, "coverage").value == pytest.approx(0.78)


@pytest.mark.parametrize(
    ("milliseconds", "names"),
    [
        (Pair(20.0, 10.0), []),
        (Pair(21.0, 10.0), ["latency"]),
        (Pair(4.9, 0.1), []),  # nobody notices
    ],
)
def test_a_model_that_takes_too_long_beside_the_champion_is_refused(milliseconds, names):
    assert failed(judge(champion=against(milliseconds=milliseconds))) == names


def test_data_of_poor_quality_make_no_champion_not_even_a_first():
    assert failed(judge(quality_score=60.0)) == []
    assert failed(judge(quality_score=59.9)) == ["data_quality"]
    assert failed(judge(quality_score=59.9, champion=None)) == ["data_quality"]


# --- what cannot be compared, served, or was overtaken


def test_a_champion_that_cannot_be_compared_with_leaves_popularity_to_be_beaten():
    other = NotCompared(3, "it is of another library")
    decision = judge(champion=other)
    assert failed(decision) == []
    assert decision.reasons[1] == (
        "passed: not compared with the champion, version 3: it is of another library"
    )
    assert failed(judge(change(0), champion=other)) == ["gain_over_popularity"]
    strict = judge(champion=other, rules={"require_comparison": True})
    assert failed(strict) == ["champion_compared"]


def test_what_cannot_be_served_or_was_overtaken_is_refused():
    assert failed(judge(defect="version 4 cannot be served: checksum")) == ["servable"]
    assert failed(judge(overtaken="version 5 was made champion")) == ["champion_stayed"]


def test_every_rule_that_fails_is_named():
    decision = judge(
        change(0),
        quality_score=10,
        champion=against(
            change(-1),
            slices={"books_tail": change(-1)},
            coverage_at_10=Pair(0, 1),
            milliseconds=Pair(99, 1),
        ),
    )
    assert len([r for r in decision.reasons if r.startswith("failed")]) == 6 == len(decision.checks)


def test_a_decision_is_plain_json():
    champion = against(slices={"books_tail": change(0)})
    loaded = json.loads(json.dumps(dataclasses.asdict(judge(champion=champion)), allow_nan=False))
    assert loaded["accepted"] is True
    assert loaded["checks"][0]["interval"] == {"mean": 0.1, "low": 0.08, "high": 0.12, "n": 200}
