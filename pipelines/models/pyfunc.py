"""What `mlflow.pyfunc.load_model` runs to open a registered model; imports nothing of MLflow."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.models.bundle import ModelBundle


class BundleModel:
    """A bundle with MLflow's `predict`."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """
        Recommendations for each reader of the column `user_id`.

        Args:
            model_input: One row a reader.
            params: `n`, the longest list wanted (default 10).

        Returns:
            Columns user_id, rank (from 1), book_id, score; best first within a reader.
        """
        n = int((params or {}).get("n", 10))
        user_ids = model_input["user_id"]
        histories = [self.bundle.history(str(user_id)) for user_id in user_ids]
        answers = self.bundle.recommend_to(histories, n, explain=False)
        rows = [
            {"user_id": user_id, "rank": rank, "book_id": item.book_id, "score": item.score}
            for user_id, answer in zip(user_ids, answers, strict=True)
            for rank, item in enumerate(answer.items, start=1)
        ]
        return pd.DataFrame(rows, columns=["user_id", "rank", "book_id", "score"])


def _load_pyfunc(path: str) -> BundleModel:
    """MLflow's hook: `path` is what was logged as `data_path`."""
    return BundleModel(ModelBundle.load(Path(path)))
