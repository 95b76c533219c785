import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest

from pipelines.evaluation.report.page import report
from pipelines.evaluation.report.wording import ACCURACY, group_of, liked_books, slice_name
from pipelines.pages.page import Page

HOSTILE = "<script>$\\frac"
SPLIT = {
    "order": "timestamp",
    "shares": {"train": 0.7, "validation": 0.1, "test": 0.2},
    "rows": {"train": 7000, "validation": 1000, "test": 2000},
    "readers": 500,
    "books": 300,
    "judged_readers": 400,
}
CURVE = {
    "model": "item_knn",
    "judged_readers": 400,
    "points": [
        {"share": 0.125, "readers": 62, "ndcg_at_10": 0.1, "low": 0.08, "high": 0.12},
        {"share": 1.0, "readers": 500, "ndcg_at_10": 0.2, "low": 0.18, "high": 0.22},
    ],
    "skipped": [0.25, 0.5],
}


def part(ndcg, low, high, n=100):
    bounds = {"ndcg_at_10": ndcg, "ndcg_at_10_low": low, "ndcg_at_10_high": high}
    return {"n_readers": float(n), "recall_at_20": 0.1, **bounds}


def measured(ndcg: float, *, slices=None, seconds=1.0, **beyond) -> dict:
    names = list(ACCURACY)
    return {
        "metrics": dict.fromkeys(names, ndcg)
        | {"coverage_at_10": 0.5, "gini_at_10": 0.6, "novelty_at_10": 9.0, "n_readers": 400.0}
        | {"seconds_per_1000_readers": seconds}
        | beyond,
        "intervals": {name: [ndcg - 0.01, ndcg + 0.01] for name in names},
        "slices": {"history_1_4": part(ndcg, 0.9 * ndcg, 1.1 * ndcg)} if slices is None else slices,
        "split": SPLIT,
    }


def against(p: float, mean=0.05) -> dict:
    bounds = {"low": mean - 0.01, "high": mean + 0.01}
    return {"mean": mean, **bounds, "n": 400, "p_value": p / 2, "p_value_holm": p}


def page(models=None, *, comparisons=None, blend=None, curve=CURVE) -> Page:
    models = models or {"hybrid": measured(0.3), "ease": measured(0.25)}
    models["hybrid"]["comparisons"] = comparisons or {}
    blend = blend or {"weights": {"ease": 1.0}, "weights_by_history": {"1": {"ease": 1.0}}}
    when = datetime(2026, 3, 5, tzinfo=UTC)
    return report(models, served="hybrid", blend=blend, curve=curve, run_id="run-1", date=when)


def says(whole: Page, chart: str) -> str:
    return whole.charts[chart].says


def text(whole: Page) -> str:
    return " ".join(paragraph for section in whole.sections for paragraph in section.text)


def test_each_metric_with_an_interval_has_a_chart():
    assert set(ACCURACY) <= set(page().charts)


def test_the_best_model_is_named_whoever_is_served():
    whole = page({"hybrid": measured(0.2), "ease": measured(0.25)})
    assert "ease has the most, 0.250" in says(whole, "ndcg_at_10")


def test_names_from_elsewhere_are_escaped():
    slices = {f"language_{HOSTILE}": part(0.2, 0.1, 0.3)}
    whole = page(
        {"hybrid": measured(0.3, slices=slices), HOSTILE: measured(0.2, slices=slices)},
        comparisons={HOSTILE: against(0.5)},
        blend={"weights": {HOSTILE: 1.0}, "weights_by_history": {}},
        curve={**CURVE, "model": HOSTILE},
    )
    html = whole.html()
    assert "<script" not in html
    assert "&lt;script&gt;$\\frac" in html
    assert all("<script" not in chart.svg for chart in whole.charts.values())


def test_diversity_that_could_not_be_measured_is_not_made_up():
    assert "n/a" in page().html()
    with_it = {"hybrid": measured(0.3, diversity_at_10=0.75)}
    assert "n/a" not in page(with_it).html()
    assert "0.750" in page(with_it).html()


def test_a_single_model_has_a_page_and_nobody_to_be_compared_with():
    whole = page({"hybrid": measured(0.3)})
    assert "There is no other model to compare hybrid with." in text(whole)
    assert "comparisons" not in whole.charts
    assert "best other model" not in text(whole)


def test_without_slices_there_is_no_section_of_them():
    whole = page({"hybrid": measured(0.3, slices={}), "ease": measured(0.2, slices={})})
    assert "For whom" not in " ".join(s.title for s in whole.sections)


def test_without_a_learning_curve_there_is_no_section_of_it():
    assert "learning_curve" in page().charts
    assert "learning_curve" not in page(curve=None).charts


def test_a_curve_of_one_point_can_be_drawn():
    assert "+0.0000" in says(
        page(curve={**CURVE, "points": CURVE["points"][-1:]}), "learning_curve"
    )


def test_what_a_curve_left_out_is_told():
    assert re.search(r"too long: 25\s% and 50\s% of the readers", text(page()))
    assert "too long" not in text(page(curve={**CURVE, "skipped": []}))


def test_only_a_corrected_p_below_five_percent_counts_as_real():
    compared = {"a": against(0.049), "b": against(0.051), "c": against(0.001, mean=-0.05)}
    told = says(page(comparisons=compared), "comparisons")
    assert told.endswith("hybrid is ahead of a, behind c and as good as b.")


def test_a_sentence_speaks_of_no_slice_with_few_readers():
    slices = {
        "history_1_4": part(0.2, 0.1, 0.3),
        "history_5_19": part(0.3, 0.2, 0.4),
        "history_20_99": part(0.9, 0.8, 1.0, n=29),
    }
    whole = page({"hybrid": measured(0.3, slices=slices)})
    assert "best with 5 to 19 books (0.300) and worst with 1 to 4 books" in says(whole, "readers")


def test_a_rival_is_better_only_where_intervals_part():
    own = {"books_head": part(0.2, 0.15, 0.25), "books_tail": part(0.2, 0.15, 0.25)}
    rival = {"books_head": part(0.3, 0.24, 0.4), "books_tail": part(0.3, 0.26, 0.4)}
    models = {"hybrid": measured(0.3, slices=own), "ease": measured(0.2, slices=rival)}
    assert "ease is clearly better with the least read third." in says(page(models), "popularity")


def test_a_part_that_counts_most_for_some_readers_is_told_of_them():
    by_history = {"1": {"a": 0.2, "b": 0.8}, "5": {"a": 0.7, "b": 0.3}}
    whole = page(blend={"weights": {"a": 0.6, "b": 0.4}, "weights_by_history": by_history})
    assert "b counts most for readers of 1 to 4 liked books" in says(whole, "weights")
    assert "5 or more liked books" in says(whole, "weights")


def test_more_parts_than_colours_share_the_last():
    weights = {f"part{i}": i / 45 for i in range(10)}
    whole = page(blend={"weights": weights, "weights_by_history": {}})
    assert "all others" in whole.charts["weights"].svg
    assert "part2<" not in whole.charts["weights"].svg


@pytest.mark.parametrize("order", ["timestamp", "row", "none"])
def test_the_page_says_what_was_hidden(order):
    models = {"hybrid": measured(0.3) | {"split": {**SPLIT, "order": order}}}
    told = {"timestamp": "by the time", "row": "last in the file", "none": "drawn by chance"}
    assert told[order] in text(page(models))


def test_the_page_does_not_depend_on_time_nor_on_the_order_of_models():
    """A run that is judged again must write the same bytes, however fast it was."""
    first = {"hybrid": measured(0.3), "b": measured(0.2), "a": measured(0.2)}
    again = {"a": measured(0.2, seconds=9.0), "b": measured(0.2), "hybrid": measured(0.3)}
    assert page(first).html() == page(again).html()


def test_what_was_written_as_json_can_be_read():
    models = json.loads(json.dumps({"hybrid": measured(np.float64(0.3))}))
    assert page(models).html()


@pytest.mark.parametrize(
    ("name", "group", "called"),
    [
        ("history_0", "readers", "0 books"),
        ("history_5_19", "readers", "5 to 19 books"),
        ("history_100_up", "readers", "100 or more books"),
        ("readers_new", "readers", "nothing liked yet"),
        ("books_tail", "popularity", "the least read third"),
        ("language_en", "language", "en"),
        ("language_other", "language", "other language"),
        ("decade_1980", "decade", "1980s"),
        ("decade_-50", "decade", "-50s"),
        ("decade_unknown", "decade", "unknown decade"),
        ("shelf_7", "others", "shelf_7"),
    ],
)
def test_slices_have_names_that_people_use(name, group, called):
    assert group_of(name) == group
    assert slice_name(name) == called


def test_buckets_reach_up_to_the_next_one():
    assert liked_books([1, 2, 5]) == {
        1: "1 liked books",
        2: "2 to 4 liked books",
        5: "5 or more liked books",
    }
    assert liked_books([]) == {}
