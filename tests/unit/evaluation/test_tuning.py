import zlib
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import optuna
import pytest
from structlog.testing import capture_logs

from pipelines.data.interactions import History
from pipelines.errors import ModelError
from pipelines.evaluation import tuning
from pipelines.evaluation.protocol import Holdout
from pipelines.evaluation.tuning import Limits, Tuning, tune
from pipelines.models.base import Choice, ModelConfig, Range, RankedBooks, Recommender

ELSEWHERE = 10_000
PLENTY = Limits(seconds=1000, max_trials=25)
SPACE = {"x": Range(0, 1)}
DEFAULTS = {"x": 0.3}


class Finds(Recommender):
    """Reader i, who has met book i, is to find book i too: the model either does or does not."""

    name = "finds"

    def __init__(self, finds: Callable[[int], bool]) -> None:
        super().__init__(ModelConfig())
        self.finds = finds
        self.asked = 0

    def fit(self, data, *, rng):
        return self

    def score(self, history):
        raise AssertionError("asked for lists alone")

    def recommend(self, histories, n, *, exclude_seen=True):
        self.asked += len(histories)
        readers = [int(history.book_nums[0]) for history in histories]
        books = [reader if self.finds(reader) else ELSEWHERE for reader in readers]
        return [RankedBooks(np.array([b], np.int32), np.ones(1, np.float32)) for b in books]

    def save(self, folder):
        raise AssertionError("not asked for here")

    @classmethod
    def load(cls, _folder):
        raise AssertionError("not asked for here")


def luck(reader: int, *what: object) -> float:
    return zlib.crc32(repr((reader, *what)).encode()) / 2**32


def by_chance(params):
    """As good with any hyperparameters, but never twice for the same readers."""
    return Finds(lambda reader: luck(reader, params["x"]) < 0.3)


def better_with_more(params):
    return Finds(lambda reader: luck(reader) < params["x"])


def readers(n: int = 400) -> Holdout:
    histories = [History.of([reader]) for reader in range(n)]
    relevant = [np.array([reader], np.int32) for reader in range(n)]
    return Holdout(histories, relevant, np.arange(n))


def new_study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize")


def tuned(fit, *, space=SPACE, defaults=DEFAULTS, limits=PLENTY, seed=0, study=None) -> Tuning:
    study = study or new_study()
    rng = np.random.default_rng(seed)
    return tune(study, fit, space, defaults, readers(), limits, rng=rng)


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def slow(fit, clock: Clock, seconds: float):
    def fitted(params):
        clock.now += seconds
        return fit(params)

    return fitted


def dying(fit, at: int):
    """Is killed in its nth fit; remembers what was fitted."""
    tried = []

    def fitted(params):
        tried.append(params["x"])
        if len(tried) == at:
            raise KeyboardInterrupt
        return fit(params)

    return fitted, tried


def test_a_hyperparameter_that_matters_is_improved():
    found = tuned(better_with_more)
    assert found.is_changed
    assert found.params["x"] > 0.6
    assert found.best_ndcg_at_10 > found.default_ndcg_at_10 + 0.2
    assert found.gain.low > 0


def test_luck_does_not_beat_the_defaults():
    """Each time some trial leads; the readers who did not choose it see through it."""
    found = [tuned(by_chance, seed=seed) for seed in range(12)]
    assert sum(len(f.trials) > 1 for f in found) == 12
    assert sum(max(t.ndcg_at_10 for t in f.trials) > f.trials[0].ndcg_at_10 for f in found) > 8
    assert [f.params for f in found if f.is_changed] == []
    assert all(f.params == DEFAULTS for f in found)


def test_the_first_trial_is_that_of_the_defaults():
    assert tuned(by_chance).trials[0].params == DEFAULTS


def test_the_chosen_model_is_the_one_that_was_fitted_with_the_chosen_values():
    for make, is_changed in ((better_with_more, True), (by_chance, False)):
        fitted: dict[float, Finds] = {}
        found = tuned(lambda params: fitted.setdefault(params["x"], make(params)))  # noqa: B023
        assert found.is_changed == is_changed
        assert found.model is fitted[found.params["x"]]


def test_the_readers_who_choose_are_not_those_who_confirm():
    asked = []

    class Watched(Finds):
        def recommend(self, histories, n, *, exclude_seen=True):
            asked.append({int(history.book_nums[0]) for history in histories})
            return super().recommend(histories, n, exclude_seen=exclude_seen)

    tuned(lambda _: Watched(lambda _: True), limits=Limits(1000, 1))
    *choosing, confirming = asked
    assert set.union(*choosing) | confirming == set(range(400))
    assert [len(c) for c in choosing] == [50] * 4
    assert not set.union(*choosing) & confirming


def test_a_trial_that_is_clearly_behind_is_given_up():
    models = []

    def fit(_):
        models.append(better_with_more({"x": 0.9 if not models else 0.1}))
        return models[-1]

    found = tuned(fit, limits=Limits(1000, 3))
    assert [m.asked for m in models] == [400, 50, 50]
    assert [t.state for t in found.trials] == ["complete", "pruned", "pruned"]
    assert found.params == DEFAULTS


def test_no_trial_begins_that_may_not_end_in_time(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(tuning, "time", clock)
    found = tuned(slow(better_with_more, clock, 10), limits=Limits(35, 25))
    assert [t.seconds for t in found.trials] == [10, 10, 10]
    assert found.seconds == 30


def test_the_defaults_are_tried_however_long_it_takes(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(tuning, "time", clock)
    found = tuned(slow(better_with_more, clock, 10), limits=Limits(1, 25))
    assert [t.params for t in found.trials] == [DEFAULTS]
    assert (found.params, found.is_changed) == (DEFAULTS, False)


def test_no_more_trials_than_allowed():
    assert len(tuned(better_with_more, limits=Limits(1000, 3)).trials) == 3


def test_trials_that_bring_nothing_come_to_an_end():
    found = tuned(lambda _: Finds(lambda reader: reader % 2 == 0))
    assert len(found.trials) == 1 + tuning.PATIENCE + len(SPACE)


def test_the_same_seed_makes_the_same_trials_and_the_same_choice():
    one, same, other = (tuned(better_with_more, seed=seed) for seed in (1, 1, 2))
    assert [t.params for t in one.trials] == [t.params for t in same.trials]
    assert (one.params, one.gain) == (same.params, same.gain)
    assert [t.params for t in one.trials] != [t.params for t in other.trials]


def test_a_killed_study_goes_on_where_it_was():
    study = new_study()
    fit, tried = dying(better_with_more, at=4)
    with pytest.raises(KeyboardInterrupt):
        tuned(fit, study=study)
    found = tuned(fit, study=study)
    assert len(set(tried)) == len(tried) == len(found.trials)
    assert [t.params["x"] for t in found.trials] == tried
    assert [t.state for t in found.trials][3] == "fail"
    assert found.params["x"] > 0.6


def test_defaults_whose_trial_was_killed_are_tried_again():
    study = new_study()
    fit, tried = dying(better_with_more, at=1)
    with pytest.raises(KeyboardInterrupt):
        tuned(fit, study=study)
    found = tuned(fit, study=study)
    assert tried[:2] == [DEFAULTS["x"]] * 2
    assert found.default_ndcg_at_10 is not None
    assert found.is_changed


def test_time_used_before_a_kill_counts(monkeypatch):
    clock, study = Clock(), new_study()
    monkeypatch.setattr(tuning, "time", clock)
    fit, _ = dying(slow(better_with_more, clock, 10), at=3)
    with pytest.raises(KeyboardInterrupt):
        tuned(fit, study=study, limits=Limits(40, 25))
    found = tuned(fit, study=study, limits=Limits(40, 25))
    assert [t.seconds for t in found.trials] == [10, 10, 0, 10]  # the third was taken for ten too


def test_a_finished_study_asked_again_tries_nothing_and_says_the_same():
    study = new_study()
    first = tuned(better_with_more, study=study)
    again = tuned(better_with_more, study=study)
    assert again.trials == first.trials
    assert (again.params, again.gain) == (first.params, first.gain)
    assert again.model is None


def refuses_above(limit: float):
    def fit(params):
        if params["x"] > limit:
            raise ModelError("the matrix is singular")
        return better_with_more(params)

    return fit


def test_values_that_a_model_cannot_be_fitted_with_are_failed_trials():
    found = tuned(refuses_above(0.5), seed=3)
    states = {t.params["x"] > 0.5: t.state for t in found.trials}
    assert states[True] == "fail"
    assert DEFAULTS["x"] < found.params["x"] <= 0.5


def test_where_all_trials_fail_the_defaults_stand_and_one_warning_is_logged():
    with capture_logs() as logs:
        found = tuned(refuses_above(-1))
    assert (found.params, found.model, found.is_changed) == (DEFAULTS, None, False)
    assert {t.state for t in found.trials} == {"fail"}
    assert [e["event"] for e in logs if e["log_level"] == "warning"] == ["tuning_failed"]


def test_where_only_the_defaults_fail_whatever_works_is_chosen():
    found = tuned(refuses_above(0.5), defaults={"x": 0.9})
    assert found.is_changed
    assert found.params["x"] <= 0.5


def test_an_error_of_ours_is_not_taken_for_a_bad_trial():
    def fit(_):
        raise KeyError("a typing mistake")

    with pytest.raises(KeyError):
        tuned(fit)


def test_values_are_of_the_kind_and_within_the_bounds_that_the_space_says():
    space = {"x": Range(0, 1), "n": Range(1, 9, integer=True), "how": Choice(("a", "b"))}
    found = tuned(by_chance, space=space, defaults={"x": 0.5, "n": 3, "how": "a"})
    for trial in found.trials:
        assert 0 <= trial.params["x"] <= 1
        assert isinstance(trial.params["n"], int)
        assert 1 <= trial.params["n"] <= 9
        assert trial.params["how"] in {"a", "b"}


def test_defaults_outside_the_space_widen_it():
    space = {"x": Range(0, 1), "how": Choice(("a", "b"))}
    defaults = {"x": 2.0, "how": "c"}
    found = tuned(by_chance, space=space, defaults=defaults)
    assert found.trials[0].params == defaults


def test_trials_tell_when_they_began():
    before = datetime.now(UTC)
    found = tuned(by_chance, limits=Limits(1000, 1))
    assert before <= found.trials[0].started_at <= datetime.now(UTC)
