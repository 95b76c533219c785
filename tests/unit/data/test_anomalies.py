from datetime import timedelta

import pyarrow as pa

from pipelines.data.anomalies import flag_readers
from tests.batches import RATINGS, START, ratings


def rows(user: int, n: int, *, day: int | None = None, rating: float | None = None) -> pa.Table:
    """A reader of n books: a book a day, or all on one day; ratings take turns or are the same."""
    columns = {
        "user_id": [user] * n,
        "book_id": range(1000, 1000 + n),
        "rating": [rating if rating is not None else float(1 + num % 5) for num in range(n)],
        "rated_at": [START + timedelta(days=day if day is not None else num) for num in range(n)],
        "row": range(1, n + 1),
    }
    return pa.table(columns, RATINGS)


def flagged(*readers: pa.Table) -> list[tuple[int | str, str]]:
    found = flag_readers(pa.concat_tables([ratings(100, 10, values=[2, 3, 4, 5]), *readers]))
    return [(f.user_id, f.reason) for f in found]


def test_usual_readers_are_not_flagged():
    assert flagged() == []


def test_a_burst_is_flagged_with_its_day_and_what_is_usual():
    burst = pa.concat_tables([rows(900, 5), rows(900, 45, day=400)])
    (found,) = flag_readers(pa.concat_tables([ratings(100), burst]))
    assert (found.user_id, found.reason) == (900, "rate_burst")
    assert found.numbers == {
        "day": (START + timedelta(days=400) - START.replace(year=1970)).days,
        "ratings": 45,
        "own_usual_day": 1.0,
        "busy_day_of_others": 1.0,
    }


def test_many_ratings_a_day_are_no_burst_for_whom_they_are_usual():
    busy = [rows(900, 40, day=day) for day in range(10)]
    assert (900, "rate_burst") not in flagged(*busy)


def test_the_same_rating_again_and_again_is_flagged():
    assert flagged(rows(900, 25, rating=5.0)) == [(900, "constant_rater")]


def test_a_few_equal_ratings_are_not():
    assert flagged(rows(900, 19, rating=5.0)) == []


def test_where_nearly_all_ratings_are_equal_an_equal_rater_is_nothing_odd():
    found = flag_readers(ratings(100, 25, values=[5.0] * 99 + [4.0]))
    assert found == []


def test_who_rates_nearly_everything_is_flagged():
    assert flagged(rows(900, 300)) == [(900, "rates_everything")]


def test_implicit_ratings_without_times_are_no_reason():
    table = ratings(100, 30)
    for name in ("rating", "rated_at"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.nulls(len(table), table[name].type))
    assert flag_readers(table) == []
    assert flag_readers(table[:0]) == []
