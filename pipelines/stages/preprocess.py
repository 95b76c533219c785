"""Turn clean tables into what models learn from: vocabularies, weighted interactions, a split."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from expectations.runner import validate as hold_against
from expectations.suites import features_suite
from pipelines.data.dataset import Dataset, feature_frame, in_reading_order, in_vocabulary_order
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
        }
    return draft.summary


def _prepare(ctx: RunContext) -> Dataset:
    clean = ctx.folder.reading("clean")
    order = ctx.summary("ingest")["order"]
    ratings = in_reading_order(pq.read_table(clean / "ratings.parquet"), order)
    books = pq.read_table(clean / "books.parquet")
    users = Vocabulary.of(pq.read_table(clean / "readers.parquet")["user_id"].to_pandas())
    vocabulary = Vocabulary.of(books["book_id"].to_pandas())
    user_nums = users.nums(ratings["user_id"].to_pandas().to_numpy())
    held_out: dict[str, Any] = ctx.settings.split.model_dump()
    return Dataset(
        users=users,
        books=vocabulary,
        catalogue=in_vocabulary_order(books, vocabulary),
        user_nums=user_nums,
        book_nums=vocabulary.nums(ratings["book_id"].to_pandas().to_numpy()),
        weights=preference(
            ratings["rating"].to_numpy(zero_copy_only=False),
            ctx.summary("validate")["rating_scale"] or IMPLICIT_SCALE,
        ),
        parts=split_histories(user_nums, **held_out, order=order, rng=ctx.rng("split")),
    )
