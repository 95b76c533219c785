"""Turn clean tables into what models learn from: vocabularies, weighted interactions, a split."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from expectations.runner import validate as hold_against
from expectations.suites import features_suite
from pipelines.data.dataset import (
    Dataset,
    aliases_of,
    feature_frame,
    in_reading_order,
    in_vocabulary_order,
)
from pipelines.data.interactions import Vocabulary
from pipelines.data.rating_scale import IMPLICIT_SCALE, preference
from pipelines.data.splits import Part, split_histories
from pipelines.stages.run_context import RunContext, Summary
from pipelines.stages.validate import refuse_if_critical

DOCS = "data_docs/features"


def run(ctx: RunContext) -> Summary:
    """
    Write the dataset of this run.

    Raises:
        DataQualityError: the features break a critical expectation.
    """
    dataset = _prepare(ctx)
    with ctx.stage(DOCS, inputs=["clean"]) as docs:
        results = hold_against(
            {"features": (features_suite(), feature_frame(dataset))},
            run_name=ctx.run_id,
            docs_folder=docs.folder,
        )
    refuse_if_critical(results, str(Path(ctx.folder.path) / DOCS / "index.html"))
    with ctx.stage("preprocess", inputs=["clean"]) as draft:
        dataset.save(draft.folder)
        draft.summary |= {
            "readers": len(dataset.users),
            "books": len(dataset.books),
            "liked": int((dataset.weights > 0).sum()),
            **{part.name.lower(): int((dataset.parts == part).sum()) for part in Part},
            "models": list(ctx.settings.models),
            "rating_scale": ctx.summary("validate")["rating_scale"],
        }
    return draft.summary


def _prepare(ctx: RunContext) -> Dataset:
    clean = ctx.folder.reading("clean")
    order = ctx.summary("ingest")["order"]
    ratings = in_reading_order(pq.read_table(clean / "ratings.parquet"), order)
    books = pq.read_table(clean / "books.parquet")
    users = Vocabulary.of(pq.read_table(clean / "readers.parquet")["user_id"].to_pandas())
    aliases = aliases_of(pq.read_table(clean / "editions.parquet"))
    vocabulary = Vocabulary.of(books["book_id"].to_pandas()).with_aliases(aliases)
    user_nums = users.nums(ratings["user_id"].to_pandas().to_numpy())
    book_nums = vocabulary.nums(ratings["book_id"].to_pandas().to_numpy())
    given = ratings["rating"].to_numpy(zero_copy_only=False)
    held_out: dict[str, Any] = ctx.settings.split.model_dump()
    return Dataset(
        users=users,
        books=vocabulary,
        catalogue=in_vocabulary_order(books, vocabulary).append_column(
            "mean_rating", mean_ratings(given, book_nums, len(vocabulary))
        ),
        user_nums=user_nums,
        book_nums=book_nums,
        weights=preference(
            given,
            ctx.summary("validate")["rating_scale"] or IMPLICIT_SCALE,
        ),
        parts=split_histories(user_nums, **held_out, order=order, rng=ctx.rng("split")),
        ordered=order != "none",
        days=days_since_1970(ratings["rated_at"]),
    )


def days_since_1970(times: pa.ChunkedArray) -> npt.NDArray[np.float32] | None:
    """To within three minutes; NaN for a null, None if there is nothing else."""
    if times.null_count == len(times):
        return None
    microseconds = times.cast(pa.int64()).to_numpy().astype(np.float64)  # NaN for a null
    return (microseconds / 86_400e6).astype(np.float32)


def mean_ratings(
    ratings: npt.NDArray[np.float64], book_nums: npt.NDArray[np.int32], n_books: int
) -> pa.Array:
    """
    What readers gave each book in the mean, on the scale of the source; null where nobody rated.

    Over all parts of the split: it is there to filter by, and no model may learn from it.
    """
    rated = ~np.isnan(ratings)
    sums = np.bincount(book_nums[rated], weights=ratings[rated], minlength=n_books)
    counts = np.bincount(book_nums[rated], minlength=n_books)
    means = np.divide(sums, counts, out=np.full(n_books, np.nan), where=counts > 0)
    return pa.array(means, pa.float64(), from_pandas=True)
