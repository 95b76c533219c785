"""Whole runs over input that is odd, poor or broken: a model, or one clear line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.champion import export_recommendations, load_by_alias
from pipelines.errors import StageFailedError
from pipelines.models.bundle import ModelBundle
from pipelines.stages.pipeline import run_pipeline
from pipelines.stages.run_context import RunContext
from tests.pipeline_runs import MakeContext, small_ratings

pytestmark = pytest.mark.integration

N = 5
Frame = Callable[[], pd.DataFrame]


def run(ctx: RunContext) -> dict[str, object]:
    return run_pipeline(ctx, lambda *_: None)


def exported(ctx: RunContext, output: Path) -> tuple[ModelBundle, pa.Table]:
    bundle, _ = load_by_alias(ctx.registry, "champion", ctx.settings.home / "models")
    export_recommendations(bundle, N, output, on_progress=lambda _: None)
    return bundle, pq.read_table(output)


def assert_lawful(frame: pd.DataFrame, met: pd.DataFrame, n_books: int) -> None:
    """Ranks without gaps, scores that never ascend, nothing met or twice, as long as can be."""
    assert not frame.merge(met, on=["user_id", "book_id"]).shape[0]
    assert not frame.duplicated(["user_id", "book_id"]).any()
    assert np.isfinite(frame["score"]).all()
    for _, one in frame.groupby("user_id"):
        assert one["rank"].tolist() == list(range(1, len(one) + 1))
        assert (np.diff(one["score"]) <= 0).all()
    n_met = met.groupby("user_id")["book_id"].nunique()
    wanted = (n_books - n_met).clip(0, N)
    found = frame.groupby("user_id").size().reindex(wanted.index, fill_value=0)
    assert found.tolist() == wanted.tolist()


def three_readers_of_three_books() -> pd.DataFrame:
    """Where the one held-out book is found last: a mean that proves nothing."""
    pairs = [(1, 1), (1, 2), (2, 2), (2, 3), (3, 1), (3, 3)]
    return pd.DataFrame(pairs, columns=["user_id", "book_id"])


def few_who_like_anything() -> pd.DataFrame:
    ratings = small_ratings()
    return ratings.assign(rating=np.where(ratings["user_id"] > 6, 1, ratings["rating"]))


def ratings_without_signal() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    popular = 1 / np.arange(1, 41)
    rows = [
        (user, int(book), int(rng.integers(1, 6)))
        for user in range(50)
        for book in rng.choice(40, 9, replace=False, p=popular / popular.sum())
    ]
    return pd.DataFrame(rows, columns=["user_id", "book_id", "rating"])


def ids_at_the_limits() -> pd.DataFrame:
    ratings = small_ratings()
    limits = np.iinfo(np.int64)
    return ratings.assign(
        user_id=limits.min + ratings["user_id"], book_id=limits.max - ratings["book_id"]
    )


def ids_of_all_kinds() -> pd.DataFrame:
    ratings = small_ratings().astype({"user_id": str, "book_id": str})
    odd = {"1": "007", "2": "a/b", "3": 'Ünï "q", \'x', "4": "\\.", "5": "NaN", "6": "x" * 255}
    return ratings.replace({"user_id": odd, "book_id": {"1": "{", "2": "\\N", "3": "1.0"}})


@pytest.mark.parametrize(
    "ratings",
    [
        three_readers_of_three_books,
        few_who_like_anything,
        ratings_without_signal,
        ids_at_the_limits,
        ids_of_all_kinds,
    ],
)
def test_poor_or_odd_ratings_still_give_a_champion_and_lawful_lists(
    make_context: MakeContext, tmp_path: Path, ratings: Frame
):
    given = ratings()
    given.to_csv(tmp_path / "ratings.csv", index=False)
    ctx = make_context(data_path=str(tmp_path / "ratings.csv"))
    run(ctx)
    bundle, table = exported(ctx, tmp_path / "out.parquet")
    assert table.column_names == ["user_id", "rank", "book_id", "score"]
    met = given[["user_id", "book_id"]].drop_duplicates()
    assert_lawful(table.to_pandas(), met, n_books=met["book_id"].nunique())
    reader = given["user_id"].iloc[0]
    asked = [item.book_id for item in bundle.recommend(str(reader), N).items]
    of_reader = table.to_pandas().query("user_id == @reader")
    assert asked == of_reader["book_id"].tolist()


def refused(ctx: RunContext) -> str:
    with pytest.raises(StageFailedError) as failed:
        run(ctx)
    assert len(str(failed.value).splitlines()) == 1
    assert ctx.registry.versions() == []
    return str(failed.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"user_id,book_id\n", "has a header but no rows"),
        (b"user_id,rating\n1,2\n", "has no column book_id"),
        (b"\x1f\x8b\x08\x00broken", "is damaged gzip"),
        (b"PAR1\x15\x04\x15\x10", "name it .parquet"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(
    make_context: MakeContext, tmp_path: Path, content: bytes, expected: str
):
    path = tmp_path / "ratings.csv"
    path.write_bytes(content)
    told = refused(make_context(data_path=str(path)))
    assert told.startswith(f"stage ingest failed: {path}")
    assert expected in told


def test_a_truncated_parquet_file_is_refused_in_one_line(make_context: MakeContext, tmp_path: Path):
    path = tmp_path / "ratings.parquet"
    small_ratings().to_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{path} cannot be read as Parquet" in refused(make_context(data_path=str(path)))


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("rating", "good", "960 rating_not_a_number"),
        ("timestamp", "31/12/2020", "960 timestamp_unreadable"),
        ("user_id", "", "960 missing_user_id"),
    ],
)
def test_where_no_row_can_be_used_the_reason_is_told_and_quarantine_lies_there(
    make_context: MakeContext, library: Path, column: str, value: str, rule: str
):
    small_ratings().assign(**{column: value}).to_csv(library / "ratings.csv", index=False)
    ctx = make_context()
    told = refused(ctx)
    assert told.startswith(f"stage ingest failed: no row of ratings can be used: {rule}")
    quarantine = ctx.folder.reading("ingest") / "quarantine.parquet"
    assert str(quarantine) in told
    assert pq.read_table(quarantine).num_rows == len(small_ratings())


def test_a_catalogue_of_other_ids_is_told_as_the_reason(make_context: MakeContext, library: Path):
    ratings = small_ratings()
    ratings.assign(book_id="b" + ratings["book_id"].astype(str)).to_csv(
        library / "ratings.csv", index=False
    )
    assert "no rating is left of 960: 960 unknown_book" in refused(make_context())


def test_one_reader_alone_is_refused_with_the_expectation(make_context: MakeContext, library: Path):
    small_ratings().query("user_id == 1").to_csv(library / "ratings.csv", index=False)
    assert "at least two readers to learn from; found 1" in refused(make_context())
