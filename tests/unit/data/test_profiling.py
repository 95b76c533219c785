import json

import pyarrow as pa

from pipelines.data.distributions import Names
from pipelines.data.profiling import PER_BOOK, PER_READER, Profile
from tests.batches import books, profiled, ratings


def test_a_profile_tells_what_a_batch_holds():
    profile = profiled(ratings())
    assert (profile.ratings, profile.readers, profile.books) == (200, 20, 10)
    assert profile.numbers("rating").points == [3, 4, 5]
    assert profile.numbers(PER_READER).points == [10]
    assert profile.numbers(PER_BOOK).points == [20]
    assert profile.months == {"2024-01": 200}
    assert profile.activity[50] == profile.popularity[50] == 0.5
    language = profile.columns["language"]
    assert isinstance(language, Names)
    assert language.counts == {"en": 10}


def test_a_profile_survives_json_as_postgresql_keeps_it():
    profile = profiled(ratings())
    stored = json.loads(json.dumps(profile.model_dump(mode="json"), allow_nan=False))
    assert Profile.model_validate(stored) == profile


def test_a_profile_is_blind_to_the_order_of_rows():
    rated = ratings()
    assert profiled(rated.take(pa.array(range(199, -1, -1)))) == profiled(rated)


def test_a_batch_without_times_ratings_or_rows_has_a_profile():
    rated = ratings()
    for name in ("rating", "rated_at"):
        at = rated.schema.get_field_index(name)
        rated = rated.set_column(at, rated.schema.field(name), pa.nulls(200, rated[name].type))
    assert profiled(rated).months == {}
    assert profiled(rated).numbers("rating").missing_share == 1.0
    assert profiled(rated[:0], books()[:0]).activity == []
