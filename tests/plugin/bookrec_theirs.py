"""What somebody else might add to Bookrec, written against its public classes alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.data.interactions import History, TrainingData
from pipelines.data.schemas import BOOKS, RAW_RATINGS
from pipelines.data.sources import Batch, SourceTables
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import ModelConfig, Recommender, Scores
from pipelines.models.embeddings.base import Vectors, checked


class SameAuthorConfig(ModelConfig):
    """Any field here can be set with BOOKREC_HYPERPARAMETERS."""

    others: float = Field(0.0, ge=0)
    """What a book of no liked author scores."""


class SameAuthorRecommender(Recommender):
    """Scores a book by the weights of the liked books of its first author."""

    name: ClassVar[str] = "same_author"
    config_class: ClassVar[type[ModelConfig]] = SameAuthorConfig
    config: SameAuthorConfig

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:
        names = [authors[0] if len(authors) else "" for authors in data.books["authors"]]
        self.author_ = np.unique(names, return_inverse=True)[1].astype(np.int32)
        return self

    def score(self, history: History) -> Scores:
        liked = history.liked
        sums = np.bincount(self.author_[liked.book_nums], liked.weights, self.author_.max() + 1)
        return np.maximum(sums[self.author_], self.config.others).astype(np.float32)

    def save(self, folder: Path) -> None:
        write_artifact(folder, self.name, self.config, {"author": self.author_})

    @classmethod
    def load(cls, folder: Path) -> Self:
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(SameAuthorConfig))
        model.author_ = artifact.array("author")
        return model


class ReadingLogSource:
    """A folder with `log.jsonl` and `shelf.jsonl`."""

    name = "reading-log"

    def read(self, location: str | None) -> SourceTables:
        folder = Path(location or ".")
        log, shelf = folder / "log.jsonl", folder / "shelf.jsonl"
        return SourceTables(
            ratings=[Batch(pa.Table.from_pylist(_rows(log), RAW_RATINGS))],
            books=[Batch(pa.Table.from_pylist(_rows(shelf), BOOKS))],
            order="row",
            rating_scale=(1.0, 5.0),
            label=f"the reading log {folder.name}",
            files=(log, shelf),
        )


def _rows(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text().splitlines()
    return [json.loads(line) | {"row": row} for row, line in enumerate(lines, 1)]


class LettersProvider:
    """How often each letter occurs: no embedding that anyone should use."""

    name = "letters"

    def __init__(self, alphabet: str = "abcdefghijklmnopqrstuvwxyz") -> None:
        self.model = alphabet

    def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        counts = [[1 + text.lower().count(letter) for letter in self.model] for text in texts]
        return checked(self.name, counts, len(texts))


def make_letters(options: Mapping[str, Any]) -> LettersProvider:
    return LettersProvider(**options)
