from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from pipelines.data.anomalies import FlaggedReader
from pipelines.data.drift import DriftBounds, drift_between
from pipelines.data.profiling import Profile
from pipelines.data.quality_gate import QualityRules, judge
from pipelines.data.quality_page import Findings, quality_page
from pipelines.data.quality_score import Intake, quality_score
from pipelines.pipeline_settings import QualityWeights
from tests.batches import books, profiled, ratings

FLAGS = (
    FlaggedReader(
        "<b>ann</b>",
        "rate_burst",
        {"day": 19_000, "ratings": 400, "own_usual_day": 2.0, "busy_day_of_others": 9.0},
    ),
    FlaggedReader(7, "constant_rater", {"ratings": 1_200, "rating": 5.0, "chance": 0.0}),
    FlaggedReader(8, "rates_everything", {"ratings": 900, "books": 1_000, "most_of_others": 50.0}),
)


def page(profile: Profile, before: Profile | None = None, *, flags=(), intake=None) -> str:
    drift = None if before is None else drift_between(before, profile, DriftBounds())
    weights = QualityWeights().model_dump()
    score = quality_score(profile, intake or Intake(), weights=weights, drift=drift)
    verdict = judge(score, drift, [], [], QualityRules())
    found = Findings(profile, intake or Intake(), flags, drift, "run-0", score, verdict)
    when = datetime(2026, 3, 5, tzinfo=UTC)
    return quality_page(found, run_id="run-1", label="Ours", when=when, links={}).html()


def without(rated: pa.Table, *names: str) -> pa.Table:
    for name in names:
        at = rated.schema.get_field_index(name)
        gaps = pa.nulls(len(rated), rated[name].type)
        rated = rated.set_column(at, rated.schema.field(at), gaps)
    return rated


def test_a_sound_first_batch_is_told_in_plain_words():
    html = page(profiled(ratings()))
    for sentence in (
        "This batch scores 100.0 of 100 and is accepted.",
        "200 ratings came in; 200 were kept, of 20 readers on 10 books.",
        "Nothing had to be mended or set aside.",
        "There is no earlier batch of these data.",
        "No reader stands out.",
        "No value is missing anywhere.",
    ):
        assert sentence in html
    assert "Ratings in each month" not in html  # all lie in one


def test_a_batch_without_ratings_and_times_has_a_page():
    html = page(profiled(without(ratings(), "rating", "rated_at")))
    assert "Missing values" in html
    assert "in the mean" not in html


def test_an_empty_batch_has_a_page():
    assert "0 ratings came in" in page(profiled(ratings()[:0], books()[:0]))


def test_ratings_of_many_values_are_drawn_as_a_histogram():
    values = np.random.default_rng(0).random(2_000)
    assert "ratings given" in page(profiled(ratings(200, 10, values=values)))


def test_months_are_drawn_where_there_are_several():
    assert "From 2024-01 to 2024-05." in page(profiled(ratings(2, 150), books(150)))


def test_what_was_mended_emptied_or_set_aside_stands_under_its_rule():
    intake = Intake(
        {"ratings": {"unknown_book": 12}}, {"books": {"isbn_invalid": 3, "isbn_repaired": 4}}
    )
    html = page(profiled(ratings()), intake=intake)
    assert "212 ratings came in; 200 were kept" in html
    for rule, verb in (("unknown book", "set aside"), ("isbn invalid", "emptied")):
        row = html[html.index(f'<th scope="row">{rule}</th>') :]
        assert verb in row[: row.index("</tr>")]


def test_drift_is_told_by_column_the_gravest_first():
    html = page(profiled(ratings()), profiled(ratings(values=[1, 2])))
    assert "is refused: nothing is stored or learnt from it" in html
    assert "Compared with run run-0" in html
    table = html[html.index("Against the batch before</h2>") :]
    assert table.index("far too much") < table.index(">no<")


def test_every_flag_is_told_with_its_numbers_and_ids_are_escaped():
    html = page(profiled(ratings()), flags=FLAGS)
    assert "400 ratings on 2022-01-08; usually 2 a day" in html
    assert "1,200 ratings, all of them 5" in html
    assert "900 of 1,000 rated books" in html
    assert "<b>ann</b>" not in html
    assert "&lt;b&gt;ann&lt;/b&gt;" in html
