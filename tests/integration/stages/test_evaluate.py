import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

from pipelines.errors import StageFailedError
from pipelines.settings import Settings
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from tests.pipeline_runs import N_BOOKS, N_READERS, MakeContext, small_books, small_ratings

pytestmark = [pytest.mark.integration, pytest.mark.once]

ACCURACY = {
    "ndcg_at_10",
    "ndcg_at_20",
    "recall_at_10",
    "recall_at_20",
    "precision_at_10",
    "map_at_10",
    "mrr_at_10",
    "hit_rate_at_10",
}
OTHERS = {
    "coverage_at_10",
    "gini_at_10",
    "novelty_at_10",
    "diversity_at_10",
    "n_readers",
    "seconds_per_1000_readers",
}


@pytest.fixture
def run_settings(run_settings: Settings) -> Settings:
    """Two models are enough to be compared with."""
    return run_settings.model_copy(update={"models": ("item_knn", "matrix_factorization")})


def run(ctx: RunContext) -> None:
    run_pipeline(ctx, lambda *_: None)


def measured(ctx: RunContext) -> dict:
    return json.loads((ctx.folder.reading("evaluate") / "metrics.json").read_text())


def test_what_is_written_is_what_the_stage_says_it_writes(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    report = measured(ctx)
    assert set(report) == {"item_knn", "matrix_factorization", "popularity", "hybrid"}
    for name, model in report.items():
        assert set(model["metrics"]) == ACCURACY | OTHERS
        assert set(model["intervals"]) == ACCURACY
        assert {"history_5_19", "books_head", "books_tail"} <= set(model["slices"])
        for found in model["slices"].values():
            assert found["ndcg_at_10_low"] <= found["ndcg_at_10"] <= found["ndcg_at_10_high"]
            assert set(found) == {
                "n_readers",
                "ndcg_at_10",
                "ndcg_at_10_low",
                "ndcg_at_10_high",
                "recall_at_20",
            }
        assert model["split"] == {
            "order": "timestamp",
            "shares": {"train": 0.7, "validation": 0.1, "test": 0.2},
            "rows": {"train": 9 * N_READERS, "validation": N_READERS, "test": 2 * N_READERS},
            "readers": N_READERS,
            "books": N_BOOKS,
            "judged_readers": model["metrics"]["n_readers"],
        }
        assert ("comparisons" in model) == (name == "hybrid")


def test_the_hybrid_is_compared_with_every_other_model(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    report = measured(ctx)
    hybrid = report["hybrid"]
    assert set(hybrid["comparisons"]) == {"item_knn", "matrix_factorization", "popularity"}
    for rival, found in hybrid["comparisons"].items():
        ndcg = report[rival]["metrics"]["ndcg_at_10"]
        assert found["mean"] == pytest.approx(hybrid["metrics"]["ndcg_at_10"] - ndcg)
        assert found["low"] <= found["mean"] <= found["high"]
        assert found["n"] == hybrid["metrics"]["n_readers"]
        assert 0 < found["p_value"] <= found["p_value_holm"] <= 1
    assert hybrid["comparisons"]["popularity"]["p_value_holm"] < 0.05


def test_each_judged_reader_has_a_row_with_the_list_that_was_judged(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    table = pq.read_table(ctx.folder.reading("evaluate") / "hybrid.parquet")
    assert table.schema.field("book_nums").type == pa.list_(pa.int32())
    assert table.column_names == [
        "user_num",
        "ndcg_at_10",
        "recall_at_20",
        "n_history",
        "n_liked",
        "n_relevant",
        "book_nums",
    ]
    rows = pq.read_table(ctx.folder.reading("preprocess") / "interactions.parquet").to_pandas()
    wanted = rows.query("part == 2 and weight > 0").groupby("user_num")["book_num"].agg(set)
    for row in table.to_pylist():
        relevant = wanted[row["user_num"]]
        assert len(relevant) == row["n_relevant"]
        hits = relevant & set(row["book_nums"])
        assert len(hits) / len(relevant) == pytest.approx(row["recall_at_20"])


def test_mlflow_has_the_gain_over_each_part_and_its_p_value(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    version = ctx.registry.versions()[0]
    logged = ctx.registry.metrics(version.run_id)
    for rival, found in measured(ctx)["hybrid"]["comparisons"].items():
        name = f"ndcg_at_10_over_{rival}"
        assert logged[name] == found["mean"]
        assert logged[f"{name}_low"] == found["low"]
        assert logged[f"{name}_high"] == found["high"]
        assert logged[f"{name}_p_holm"] == found["p_value_holm"]
    assert {"ndcg_at_20", "diversity_at_10"} <= set(logged)


def test_the_report_lies_beside_and_hangs_on_the_hybrid_s_run(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    page = Path(ctx.summary("evaluate")["report"])
    assert page == ctx.folder.reading("evaluate") / "report" / "evaluation.html"
    html = page.read_text()
    assert "item_knn, learnt from ever more readers" in html
    files = {path.name for path in page.parent.iterdir()}
    assert {"evaluation.html", "ndcg_at_10.svg", "learning_curve.svg", "weights.svg"} <= files
    run_id = ctx.registry.versions()[0].run_id
    attached = MlflowClient(ctx.settings.mlflow_tracking_uri.get_secret_value())
    listed = {Path(found.path).name for found in attached.list_artifacts(run_id, "evaluation")}
    assert listed == files


def test_the_last_point_of_the_curve_is_the_model_that_was_judged(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    curve = json.loads((ctx.folder.reading("evaluate") / "learning_curve.json").read_text())
    last = curve["points"][-1]
    assert curve["judged_readers"] == measured(ctx)["item_knn"]["metrics"]["n_readers"]
    judged = measured(ctx)["item_knn"]["metrics"]["ndcg_at_10"]
    assert last["ndcg_at_10"] == pytest.approx(judged)
    assert last["readers"] == N_READERS


def test_no_curve_is_drawn_where_there_is_no_time_for_one(
    make_context: MakeContext, run_settings: Settings
):
    evaluation = run_settings.evaluation.model_copy(update={"learning_curve_seconds": 0})
    ctx = replace(
        make_context(), settings=run_settings.model_copy(update={"evaluation": evaluation})
    )
    run(ctx)
    folder = ctx.folder.reading("evaluate")
    assert json.loads((folder / "learning_curve.json").read_text()) is None
    assert not (folder / "report" / "learning_curve.svg").exists()


def test_judging_again_writes_the_same_page(make_context: MakeContext):
    """The time that a model took is the one thing measured that may differ."""
    ctx = make_context()
    run(ctx)
    report = ctx.folder.reading("evaluate") / "report"
    first = {path.name: path.read_bytes() for path in report.iterdir()}
    execute("evaluate", ctx)
    assert {path.name: path.read_bytes() for path in report.iterdir()} == first


def test_where_nobody_knows_the_order_of_reading_the_split_says_so(
    make_context: MakeContext, library: Path
):
    ratings = pd.read_csv(library / "ratings.csv")
    ratings.drop(columns="timestamp").to_csv(library / "ratings.csv", index=False)
    (library / "books.csv").unlink()
    ctx = make_context()
    run(ctx)
    hybrid = measured(ctx)["hybrid"]
    assert hybrid["split"]["order"] == "none"
    assert "diversity_at_10" not in hybrid["metrics"]


def test_a_catalogue_that_names_the_test_rows_stops_the_run(
    make_context: MakeContext, library: Path
):
    """Of two hundred books each reader has met twenty, the last four of which are tested on."""
    rows = [
        (reader, int(book) + 1, 5, 1_700_000_000 + step)
        for reader in range(80)
        for step, book in enumerate(np.random.default_rng(reader).permutation(200)[:20])
    ]
    ratings = pd.DataFrame(rows, columns=["user_id", "book_id", "rating", "timestamp"])
    ratings.to_csv(library / "ratings.csv", index=False)
    books = pd.concat([small_books()] * 5).assign(
        book_id=range(1, 201), title=[f"Volume {book}" for book in range(1, 201)]
    )
    books.to_csv(library / "books.csv", index=False)
    run(make_context("clean"))
    last = ratings.groupby("user_id").tail(4)
    told = last.groupby("book_id")["user_id"].agg(lambda users: ";".join(f"r{u}" for u in users))
    books["genres"] += ";" + books["book_id"].map(told).fillna("none")
    books.to_csv(library / "books.csv", index=False)
    ctx = make_context("poisoned")
    with pytest.raises(StageFailedError, match="stage evaluate failed: leak: the catalogue names"):
        run(ctx)
    assert not ctx.folder.has("evaluate")
    assert [v.version for v in ctx.registry.versions()] == [1]


def test_the_champion_is_compared_on_the_same_readers(make_context: MakeContext):
    run(make_context())
    again = make_context("run-2")
    run(again)
    told = measured(again)["hybrid"]
    champion = told["comparisons"]["champion"]
    assert champion["n"] == told["metrics"]["n_readers"]
    assert champion["mean"] == 0  # the same data and seed, the same model
    assert champion["p_value"] == 1
    run_id = again.registry.record_run("hybrid", "run-2", params={}, metrics={}, tags={})
    assert again.registry.metrics(run_id)["ndcg_at_10_over_champion"] == 0


def test_readers_of_whom_the_champion_knows_the_answers_are_left_out(
    make_context: MakeContext, library: Path
):
    small_ratings().drop(columns="timestamp").to_csv(library / "ratings.csv", index=False)
    run(make_context())
    other = make_context("run-2", seed=7)  # without an order of reading another split is drawn
    run(other)
    told = measured(other)["hybrid"]
    assert told["comparisons"].get("champion", {"n": 0})["n"] < told["metrics"]["n_readers"]


def test_a_champion_of_another_library_or_of_a_lost_run_is_not_compared(
    make_context: MakeContext, library: Path, tmp_path: Path
):
    first = make_context()
    run(first)
    elsewhere = library.rename(tmp_path / "elsewhere")
    moved = make_context("run-2", data_path=str(elsewhere))
    run(moved)
    assert "champion" not in measured(moved)["hybrid"]["comparisons"]
    shutil.rmtree(Path(first.folder.path) / "blend")
    elsewhere.rename(library)
    after = make_context("run-3")
    run(after)
    assert "champion" not in measured(after)["hybrid"]["comparisons"]
