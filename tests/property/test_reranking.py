"""Laws of filters and diversity, whatever the scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.data.interactions import History
from pipelines.models.base import RankedBooks, rank
from pipelines.models.reranking import Filters, LikenessTo, Reranking, diversified
from tests.factories import N_BOOKS, SHELF, bundle

KNOBS = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))
VALUES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))
SCORES = arrays(np.float32, st.integers(1, 30), elements=VALUES)


@pytest.fixture(scope="module")
def served():
    return bundle()


@st.composite
def rankings(draw) -> tuple[RankedBooks, LikenessTo, int]:
    """A ranking, how like the books of the pool at its head are, and the size of that pool."""
    ranked = rank(draw(SCORES), 30)
    size = draw(st.integers(1, len(ranked)))
    matrix = draw(arrays(np.float32, (30, size), elements=VALUES))
    return ranked, lambda num: matrix[num], size


@given(rankings(), KNOBS, st.integers(1, 40))
def test_diversity_loses_and_invents_nothing(ranking, knob, n):
    """As many books as before, each once, each with its own score."""
    ranked, like, pool = ranking
    varied = diversified(ranked, like, knob, n, pool=pool)
    assert len(varied) == min(n, len(ranked))
    assert len(set(varied.book_nums.tolist())) == len(varied)
    scores = dict(zip(ranked.book_nums.tolist(), ranked.scores.tolist(), strict=True))
    for num, score in zip(varied.book_nums.tolist(), varied.scores.tolist(), strict=True):
        assert scores[num] == score


@given(rankings(), st.integers(1, 40))
def test_no_diversity_is_as_ranked(ranking, n):
    """0 gives exactly the same list."""
    ranked, like, pool = ranking
    varied = diversified(ranked, like, 0, n, pool=pool)
    assert varied.book_nums.tolist() == ranked.book_nums[:n].tolist()
    assert varied.scores.tobytes() == ranked.scores[:n].tobytes()


@given(rankings(), KNOBS, st.integers(1, 40))
def test_longer_varied_list_begins_with_the_shorter(ranking, knob, n):
    """n decides how much is shown, not what."""
    ranked, like, pool = ranking
    longest = diversified(ranked, like, knob, 40, pool=pool)
    shorter = diversified(ranked, like, knob, n, pool=pool)
    assert shorter.book_nums.tolist() == longest.book_nums[:n].tolist()


@given(rankings(), KNOBS)
def test_the_best_book_stays_first(ranking, knob):
    """Nothing stands above it that it could be like."""
    ranked, like, pool = ranking
    assert diversified(ranked, like, knob, 1, pool=pool).book_nums[0] == ranked.book_nums[0]


GENRES = sorted({genre for _, _, genres, _, _ in SHELF for genre in genres})


@st.composite
def filters(draw) -> Filters:
    """Some years, genres and ids, known and unknown."""
    years = st.none() | st.integers(1988, 2003)
    first, last = draw(years), draw(years)
    if first is not None and last is not None:
        first, last = min(first, last), max(first, last)
    ids = [str(10 * num) for num in range(N_BOOKS + 2)]
    return Filters(
        genres=tuple(draw(st.lists(st.sampled_from([*GENRES, "unknown"]), max_size=3))),
        from_year=first,
        to_year=last,
        exclude=tuple(draw(st.lists(st.sampled_from(ids), max_size=4))),
        exclude_seen=draw(st.booleans()),
    )


def fits(num: int, wanted: Filters) -> bool:
    """The filters said once more, one book at a time."""
    year = 1990 + num
    return (
        (not wanted.genres or bool({*SHELF[num][2]} & {*wanted.genres}))
        and (wanted.from_year is None or year >= wanted.from_year)
        and (wanted.to_year is None or year <= wanted.to_year)
        and str(10 * (num + 1)) not in wanted.exclude
    )


@given(
    filters(),
    KNOBS,
    KNOBS,
    st.lists(st.integers(0, N_BOOKS - 1), unique=True),
    st.integers(1, N_BOOKS + 3),
)
def test_all_that_is_shown_fits_and_nothing_that_fits_is_missing(
    served, wanted, diversity, damping, liked, n
):
    """n books come back whenever n fit, unmet unless met ones are asked for."""
    reranking = Reranking(filters=wanted, diversity=diversity, popularity_damping=damping)
    (answer,) = served.recommend_to([History.of(liked)], n, reranking=reranking)
    shown = [item.book_id // 10 - 1 for item in answer.items]
    fitting = {num for num in range(N_BOOKS) if fits(num, wanted)}
    if wanted.exclude_seen:
        fitting -= set(liked)
    assert set(shown) <= fitting
    assert len(set(shown)) == len(shown) == min(n, len(fitting))
