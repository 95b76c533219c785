"""Lists as readers ask for them, over a library in which every right answer is known."""

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipelines.data.interactions import History
from pipelines.models.answers import Read
from pipelines.models.base import RankedBooks
from pipelines.models.bundle import ModelBundle
from pipelines.models.factory import create
from pipelines.models.reranking import UNCHANGED, Filters, Reranking, diversified, likeness
from tests.factories import N_BOOKS, USERS, bundle, catalogue, checkerboard_data


def changed(table: pa.Table, **columns: object) -> pa.Table:
    for name, values in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(at, name, pa.array(values, table.schema.field(at).type))
    return table


def with_catalogue(table: pa.Table) -> ModelBundle:
    made = bundle()
    parts = (made.hybrid, made.popularity, made.users, made.books, made.interactions)
    return ModelBundle(*parts, table)


@pytest.fixture(scope="module")
def served() -> ModelBundle:
    """Rated 1.0, 1.5 ... 6.0 in the mean, the last book by nobody; languages alternate."""
    means = pa.array([*(1 + num / 2 for num in range(N_BOOKS - 1)), None], pa.float64())
    table = changed(catalogue(), language=["en", "fr"] * 5 + ["de", None])
    return with_catalogue(table.append_column("mean_rating", means))


def mixed(served: ModelBundle, history: History, n: int, wishes: Reranking = UNCHANGED):
    (made,) = served._lists.lists([history], n, wishes)
    return made.ranked, made.n_modelled


def ids(answer) -> list[int]:
    return [item.book_id for item in answer.items]


def asked(served: ModelBundle, user: str = "ann", n: int = N_BOOKS, **filters: object) -> list[int]:
    reranking = Reranking(filters=Filters(**filters))
    return ids(served.recommend(user, n, reranking=reranking))


UNMET = [20 + 10, 50, 60, 70, 90, 100, 110, 120]
"""What `ann` has not met."""


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"genres": ("Science-Fiction",)}, [50, 60, 70]),
        ({"genres": ("crime", "FANTASY")}, [30, 90, 100]),
        ({"authors": ("mia sato",)}, [70, 110]),
        ({"authors": ("J. K. Tolling",)}, [30]),
        ({"languages": ("French",)}, [60, 100]),
        ({"languages": ("fr-CA", "de")}, [60, 100, 110]),
        ({"from_year": 1999}, [100, 110, 120]),
        ({"to_year": 1994}, [30, 50]),
        ({"from_year": 1995, "to_year": 1995}, [60]),
        ({"min_rating": 5.5}, [100, 110]),
        ({"exclude": ("30", "50", "999", "x", "")}, [60, 70, 90, 100, 110, 120]),
        ({"genres": ("crime",), "from_year": 1999}, [100]),
    ],
)
def test_only_fitting_books_are_shown_and_all_of_them(served, filters, expected):
    assert sorted(asked(served, **filters)) == expected
    assert set(asked(served, "nobody", **filters)) >= set(expected)


@pytest.mark.parametrize(
    "filters",
    [
        {"genres": ("unheard of",)},
        {"genres": ("",)},
        {"languages": ("??",)},
        {"min_rating": 1000.0},
        {"from_year": 9999},
        {"genres": ("crime",), "authors": ("Lem Okafor",)},
        {"exclude": tuple(str(i) for i in range(10, 130, 10))},
    ],
)
def test_filters_that_nothing_fits_give_an_empty_list(served, filters):
    for user in [*USERS, "nobody"]:
        assert asked(served, user, **filters) == []
    reranking = Reranking(filters=Filters(**filters))
    assert served.popular(5, reranking=reranking).items == ()
    assert served.similar(["80"], 5, reranking=reranking).items == ()


def test_as_many_books_come_back_as_fit_however_low_they_rank(served):
    for n in range(1, 5):
        assert len(asked(served, n=n, genres=("crime", "romance"))) == n
    best = asked(served, n=2, genres=("crime", "romance"))
    assert best == [i for i in ids(served.recommend("ann", N_BOOKS)) if i >= 90][:2]


def test_scores_are_those_of_the_list_without_filters(served):
    plain = {i.book_id: i for i in served.recommend("ann", N_BOOKS).items}
    reranking = Reranking(filters=Filters(genres=("crime", "science fiction")))
    for item in served.recommend("ann", 5, reranking=reranking).items:
        assert item == plain[item.book_id]


def test_met_books_come_back_on_demand(served):
    reranking = Reranking(filters=Filters(exclude_seen=False))
    shown = ids(served.recommend("ann", N_BOOKS, reranking=reranking))
    assert sorted(shown) == list(range(10, 130, 10))


def test_a_met_book_is_no_reason_for_itself():
    served = bundle()
    factors = create("matrix_factorization", embedding_size=4, threads=1)
    factors.fit(checkerboard_data(), rng=np.random.default_rng(0))
    served.hybrid.parts = {"item_knn": factors}
    reranking = Reranking(filters=Filters(exclude_seen=False))
    items = served.recommend_for_history(
        [Read("10"), Read("30")], N_BOOKS, reranking=reranking
    ).items
    reasons = {i.book_id: i.reasons for i in items}
    assert reasons[10] == ("because you liked The Grey Sea",)
    assert reasons[30] == ("because you liked The Grey Wizard",)


def test_reader_who_has_met_everything_gets_an_empty_list(served):
    every = [Read(str(i)) for i in range(10, 130, 10)]
    for reranking in (UNCHANGED, Reranking(diversity=0.5, popularity_damping=0.5)):
        answer = served.recommend_for_history(every, 5, reranking=reranking)
        assert (answer.items, answer.source) == ((), "fallback")


@pytest.mark.parametrize("missing", ["genres", "authors", "language", "year"])
def test_catalogue_without_a_field_fits_no_filter_of_it(missing):
    served = with_catalogue(changed(catalogue(), **{missing: [None] * N_BOOKS}))
    filters = {
        "genres": {"genres": ("crime",)},
        "authors": {"authors": ("Rex Hall",)},
        "language": {"languages": ("en",)},
        "year": {"from_year": 1},
    }[missing]
    assert asked(served, **filters) == []
    assert asked(served) == ids(bundle().recommend("ann", N_BOOKS))


def test_catalogue_without_ratings_fits_no_minimum():
    assert asked(bundle(), min_rating=0) == []


def test_excluded_ids_are_of_the_catalogues_type():
    named = sorted(["é", "a/b", "", "09", "9", "漢字", "x", "y", "z", "A", "B", "a b"])
    served = bundle(named)
    shown = asked(served, "nobody", exclude=("09", "漢字", "", "9.0"))
    assert sorted(shown) == [i for i in named if i not in ("09", "漢字", "")]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Reranking, {"diversity": float("nan")}),
        (Reranking, {"diversity": 1.01}),
        (Reranking, {"diversity": -0.01}),
        (Reranking, {"popularity_damping": float("inf")}),
        (Reranking, {"popularity_damping": 2}),
        (Reranking, {"divresity": 0.5}),
        (Filters, {"min_rating": float("nan")}),
        (Filters, {"from_year": 2000, "to_year": 1999}),
        (Filters, {"from_year": 10**400}),
        (Filters, {"genres": "crime"}),
        (Filters, {"genre": ("crime",)}),
        (Filters, {"genres": ("x",) * 101}),
    ],
)
def test_wishes_that_make_no_sense_are_refused(kind, wrong):
    with pytest.raises(ValidationError):
        kind(**wrong)


def test_wishes_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError, match="frozen"):
        UNCHANGED.diversity = 1.0


def test_unchanged_lists_are_the_same_to_the_last_bit(served):
    for user_num in range(len(USERS)):
        history = served.interactions.history(user_num)
        plain, n_plain = mixed(served, history, 6)
        # Barring nothing but an unknown book goes the long way round.
        same, n_same = mixed(served, history, 6, Reranking(filters=Filters(exclude=("none",))))
        assert plain.book_nums.tobytes() == same.book_nums.tobytes()
        assert plain.scores.tobytes() == same.scores.tobytes()
        assert n_plain == n_same


def test_diversity_puts_another_kind_of_book_second():
    ranked = RankedBooks(np.array([5, 7, 9], np.int32), np.array([1, 0.9, 0.2], np.float32))
    twins = {5: [0, 1, 0], 7: [1, 0, 0], 9: [0, 0, 0]}

    def nums(knob: float) -> list[int]:
        return diversified(ranked, lambda num: np.array(twins[num]), knob, 3).book_nums.tolist()

    assert nums(0) == nums(0.4) == [5, 7, 9]
    assert nums(0.5) == nums(1) == [5, 9, 7]
    varied = diversified(ranked, lambda num: np.array(twins[num]), 1, 2)
    assert varied.book_nums.tolist() == [5, 9]
    assert varied.scores.tolist() == pytest.approx([1, 0.2])


def test_a_book_is_held_against_all_that_stand_above_it():
    """The third is like the first, not like the second, and still comes last."""
    ranked = RankedBooks(np.arange(4, dtype=np.int32), np.array([1, 0.8, 0.8, 0.5], np.float32))
    like_first = {0: [0, 0, 1, 0]}
    varied = diversified(ranked, lambda num: np.array(like_first.get(num, [0, 0, 0, 0])), 0.6, 4)
    assert varied.book_nums.tolist() == [0, 1, 3, 2]


def test_books_beyond_the_pool_follow_as_ranked():
    ranked = RankedBooks(np.array([4, 3, 2, 1], np.int32), np.array([4, 3, 2, 1], np.float32))
    for n in (9, 3, 1):
        varied = diversified(ranked, lambda _: np.ones(2), 1, n, pool=2)
        assert varied.book_nums.tolist() == [4, 3, 2, 1][:n]


def test_the_whole_list_grows_more_varied_with_the_knob(served):
    def sameness(diversity: float) -> float:
        answer = served.recommend("nobody", 4, reranking=Reranking(diversity=diversity))
        nums = served.books.nums(ids(answer))
        like = likeness(served.hybrid, served.catalogue, nums)
        return float(sum(like(int(num)).sum() for num in nums))

    assert sameness(1) < sameness(0.5) < sameness(0)


def test_diversity_keeps_the_models_own_scores_and_reasons(served):
    plain = {i.book_id: i for i in served.recommend("ann", N_BOOKS).items}
    varied = served.recommend("ann", N_BOOKS, reranking=Reranking(diversity=1)).items
    assert {i.book_id: i for i in varied} == plain
    assert [i.book_id for i in varied] != list(plain)
    assert varied[0] == next(iter(plain.values()))


def test_models_books_stay_above_those_that_fill_up():
    served = bundle()
    served.hybrid.parts.pop("content")
    plain = served.recommend("ann", N_BOOKS)
    varied = served.recommend("ann", N_BOOKS, reranking=Reranking(diversity=1))
    n_modelled = sum(i.reasons[0].startswith("because") for i in plain.items)
    assert 0 < n_modelled < len(plain.items)
    assert set(ids(plain)[:n_modelled]) == set(ids(varied)[:n_modelled])
    assert set(varied.items) == set(plain.items)


def test_likeness_is_of_texts_where_there_are_any(served):
    like_murder_at_dusk = likeness(
        served.hybrid, served.catalogue, np.array([8, 0, 7, 9], np.int32)
    )(8)
    itself, wizard, murder_at_noon, alibi = like_murder_at_dusk
    assert (itself, murder_at_noon) == (0, 1)
    assert 1 > alibi > wizard >= 0


@pytest.mark.parametrize("absent", ["model", "metadata"])
def test_likeness_is_of_readers_where_nothing_is_written(absent):
    nothing = {name: [None] * N_BOOKS for name in ("genres", "authors")}
    served = with_catalogue(changed(catalogue(), **nothing)) if absent == "metadata" else bundle()
    if absent == "model":
        served.hybrid.parts.pop("content")
    like = likeness(served.hybrid, served.catalogue, np.array([2, 8, 4], np.int32))
    assert like(4)[0] > 0.1  # both are read by bob
    assert like(7)[1] == 1  # and these by cid
    assert like(7)[2] == 0
    assert like(11).tolist() == [0, 0, 0]  # nobody reads that one


def test_nothing_is_alike_where_no_part_knows_similar_books():
    made = bundle()
    made.hybrid.parts.clear()
    assert likeness(made.hybrid, made.catalogue, np.array([1, 2], np.int32))(0).tolist() == [0, 0]


def test_damping_lowers_each_score_by_what_the_book_must_reach(served):
    history = served.interactions.history(0)
    plain, n_plain = mixed(served, history, N_BOOKS)
    lowered, n_lowered = mixed(served, history, N_BOOKS, Reranking(popularity_damping=0.5))
    assert n_plain == n_lowered > 1
    thresholds = served.hybrid.thresholds_
    assert thresholds.max() > 0
    scores = dict(zip(plain.book_nums.tolist(), plain.scores.tolist(), strict=True))
    for num, score in zip(lowered.book_nums[:n_lowered], lowered.scores, strict=False):
        assert score == pytest.approx(scores[num] - 0.5 * thresholds[num], abs=1e-6)
    assert (np.diff(lowered.scores) <= 0).all()


def test_a_damping_that_is_asked_for_takes_the_place_of_the_models_own(served):
    made = bundle()
    made.hybrid.config = made.hybrid.config.model_copy(update={"damping": 0.5})
    half = served.recommend("ann", 5, reranking=Reranking(popularity_damping=0.5))
    assert made.recommend("ann", 5) == half
    assert made.recommend("ann", 5, reranking=Reranking(popularity_damping=0)) != half
    assert made.recommend("ann", 5, reranking=Reranking(popularity_damping=0)) == served.recommend(
        "ann", 5
    )


def test_damping_leaves_popular_lists_alone(served):
    assert ids(served.recommend("nobody", 5)) == ids(
        served.recommend("nobody", 5, reranking=Reranking(popularity_damping=1))
    )


def test_more_than_there_is_gives_what_there_is(served):
    for reranking in (UNCHANGED, Reranking(diversity=1), Reranking(popularity_damping=1)):
        assert sorted(ids(served.recommend("ann", 10_000, reranking=reranking))) == UNMET
