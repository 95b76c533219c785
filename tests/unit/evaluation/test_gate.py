import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.gate import GateRules, decide


def frame(ndcg, user_nums=None):
    nums = np.arange(len(ndcg)) if user_nums is None else user_nums
    return pd.DataFrame({"user_num": nums, "ndcg_at_10": np.asarray(ndcg, float)})


def judge(challenger, popularity, champion=None, **rules):
    rng = np.random.default_rng(0)
    return decide(challenger, popularity, champion, GateRules(**rules), rng=rng)


NOISE = np.random.default_rng(5).random(200) * 0.2
BASE = 0.1 + NOISE


def test_model_that_beats_popularity_is_accepted():
    decision = judge(frame(BASE + 0.1), frame(BASE))
    assert decision.accepted
    assert [c.name for c in decision.checks] == ["gain_over_popularity"]


def test_model_equal_to_popularity_is_rejected():
    decision = judge(frame(BASE), frame(BASE))
    assert not decision.accepted
    assert decision.reasons[0].startswith("failed: ndcg_at_10 gain over popularity")


def test_gain_within_chance_is_rejected():
    noise = np.random.default_rng(1).normal(0, 0.2, 200)
    challenger = BASE + noise - noise.mean() + 0.005
    check = judge(frame(challenger), frame(BASE)).checks[0]
    assert not check.passed
    assert check.value < 0 == check.threshold


def test_gain_below_the_one_asked_for_is_rejected():
    gain = frame(BASE + 0.1), frame(BASE)
    assert judge(*gain, min_gain_over_popularity=0.05).accepted
    assert not judge(*gain, min_gain_over_popularity=0.15).accepted


def test_challenger_a_little_below_the_champion_is_accepted():
    decision = judge(frame(BASE + 0.1), frame(BASE), frame(BASE + 0.105))
    assert decision.accepted
    assert [c.name for c in decision.checks] == ["gain_over_popularity", "gain_over_champion"]
    assert decision.checks[1].threshold == -0.01


def test_challenger_far_below_the_champion_is_rejected():
    decision = judge(frame(BASE + 0.1), frame(BASE), frame(BASE + 0.12))
    assert not decision.accepted
    assert [c.passed for c in decision.checks] == [True, False]


def test_allowed_loss_can_be_changed():
    frames = frame(BASE + 0.1), frame(BASE), frame(BASE + 0.12)
    assert judge(*frames, max_loss_to_champion=0.03).accepted


def test_beating_the_champion_alone_is_not_enough():
    decision = judge(frame(BASE), frame(BASE + 0.1), frame(BASE - 0.1))
    assert [c.passed for c in decision.checks] == [False, True]
    assert not decision.accepted


def test_few_readers_are_decided_by_the_mean_and_the_reason_says_so():
    tied = frame(np.full(29, 0.5))
    decision = judge(tied, tied)
    assert decision.accepted
    assert "29 readers are too few for an interval" in decision.reasons[0]


def test_few_readers_with_a_worse_mean_are_rejected():
    assert not judge(frame([0.1, 0.2]), frame([0.1, 0.3])).accepted


def test_thirty_readers_are_enough_for_an_interval():
    tied = frame(np.full(30, 0.5))
    assert not judge(tied, tied).accepted


def test_readers_are_paired_by_number_not_by_place():
    challenger = frame(BASE + 0.1)
    shuffled = challenger.sample(frac=1, random_state=0)
    assert judge(shuffled, frame(BASE)) == judge(challenger, frame(BASE))


def test_decision_is_plain_json():
    decision = judge(frame(BASE + 0.1), frame(BASE), frame(BASE))
    loaded = json.loads(json.dumps(dataclasses.asdict(decision)))
    assert loaded["accepted"] is True
    assert set(loaded["checks"][0]) == {"name", "value", "threshold", "passed", "reason"}


def test_frames_of_different_readers_are_refused():
    with pytest.raises(ValueError, match="champion must be measured on the same readers"):
        judge(frame(BASE), frame(BASE), frame(BASE, np.arange(1, 201)))


def test_reader_twice_is_refused():
    twice = frame([0.1, 0.2], [4, 4])
    with pytest.raises(ValueError, match="a reader twice"):
        judge(twice, twice)


def test_no_readers_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        judge(frame([]), frame([]))


def test_metric_that_is_not_a_number_never_passes():
    assert not judge(frame(np.full(40, np.nan)), frame(np.zeros(40))).accepted
    assert not judge(frame(np.full(4, np.nan)), frame(np.zeros(4))).accepted


def test_first_model_within_chance_of_popularity_is_accepted():
    noise = np.random.default_rng(1).normal(0, 0.2, 200)
    challenger = BASE + noise - noise.mean() - 0.005
    assert judge(frame(challenger), frame(BASE), must_prove_gain=False).accepted


def test_first_model_proven_worse_than_popularity_is_rejected():
    decision = judge(frame(BASE - 0.05), frame(BASE), must_prove_gain=False)
    assert not decision.accepted
    assert "upper 95 % bound" in decision.reasons[0]


def test_first_model_a_little_below_popularity_is_accepted_even_if_proven():
    decision = judge(frame(BASE - 0.019), frame(BASE), must_prove_gain=False)
    assert decision.accepted
    assert decision.checks[0].threshold == -0.02


def test_few_readers_never_refuse_a_first_model():
    decision = judge(frame([0.1, 0.2]), frame([0.3, 0.4]), must_prove_gain=False)
    assert decision.accepted
    assert "2 readers are too few to refuse a first model" in decision.reasons[0]


def test_first_model_measured_as_not_a_number_is_refused():
    unmeasured = frame(np.full(4, np.nan))
    assert not judge(unmeasured, frame(np.zeros(4)), must_prove_gain=False).accepted
