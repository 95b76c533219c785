"""What is registered and served: a hybrid, readers' histories and the catalogue in one unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from pipelines.data.interactions import History, Id, Interactions, Vocabulary
from pipelines.errors import ArtifactError
from pipelines.models.artifact import Array, Artifact, read_artifact, write_artifact
from pipelines.models.base import BookNums, ModelConfig, RankedBooks, Scores, rank
from pipelines.models.hybrid import HybridRecommender
from pipelines.models.popularity import PopularityRecommender

CATALOGUE = "catalogue.arrow"
POPULAR = "popular with readers"
MAX_REASONS = 2


@dataclass(frozen=True)
class Recommendation:
    """One book of an answer; ids as they came in."""

    book_id: Id
    title: str
    authors: tuple[str, ...]
    score: float
    reasons: tuple[str, ...]
    """Short sentences, the strongest first; empty where none was asked for or there is none."""


@dataclass(frozen=True)
class Answer:
    """Books, best first, and where they come from."""

    items: tuple[Recommendation, ...]
    source: str
    """ "model", or "fallback": nothing is known of this reader's taste, so these are popular."""


class BundleConfig(ModelConfig):
    """A bundle has nothing to tune; its hybrid keeps its own config."""


class ModelBundle:
    """
    Answers for readers and books by their ids, as a URL writes them.

    Immutable once made, so that any number of threads may ask at once.
    """

    kind: ClassVar[str] = "bundle"

    def __init__(
        self,
        hybrid: HybridRecommender,
        popularity: PopularityRecommender,
        users: Vocabulary,
        books: Vocabulary,
        interactions: Interactions,
        catalogue: pa.Table,
    ) -> None:
        """
        Args:
            hybrid: Fitted on these books.
            popularity: Fitted on them too; fills what the hybrid leaves empty.
            users: Every reader with a row in `interactions`, even an empty one.
            books: Every book of the catalogue.
            interactions: All that readers have met: what to recommend from, and what never again.
            catalogue: Columns of `schemas.BOOKS`, rows in the order of `books`.
        """
        if interactions.matrix.shape != (len(users), len(books)) or len(catalogue) != len(books):
            raise ValueError(
                f"{len(users)} users and {len(books)} books do not fit interactions of shape "
                f"{interactions.matrix.shape} and a catalogue of {len(catalogue)} rows"
            )
        self.hybrid = hybrid
        self.popularity = popularity
        self.users = users
        self.books = books
        self.interactions = interactions
        self.catalogue = catalogue

    def recommend(self, user_id: str, n: int, *, explain: bool = True) -> Answer:
        """Unmet books for a reader; popular ones for a reader who is unknown or likes nothing."""
        known = self.users.parse(user_id)
        if known is None:
            return self.popular(n)
        history = self.interactions.history(int(self.users.nums([known])[0]))
        ranked, n_modelled = self._ranked(history, n)
        reasons: list[tuple[str, ...]] = [()] * len(ranked)
        if explain:
            reasons = self._reasons(history.liked, ranked.book_nums[:n_modelled])
            reasons += [(POPULAR,)] * (len(ranked) - n_modelled)
        return self._answer(ranked, reasons, "model" if n_modelled else "fallback")

    def recommend_many(
        self, user_nums: Sequence[int] | npt.NDArray[np.integer], n: int
    ) -> list[RankedBooks]:
        """The lists of `recommend` for many readers, without their dress."""
        return [self._ranked(h, n)[0] for h in self.interactions.histories(user_nums)]

    def similar(self, book_id: str, n: int) -> Answer | None:
        """Books near a book; None if it is unknown, no items if nothing is near it."""
        known = self.books.parse(book_id)
        if known is None:
            return None
        ranked = rank(self.hybrid.similarity(int(self.books.nums([known])[0])), n)
        return self._answer(ranked, [()] * len(ranked), "model")

    def popular(self, n: int) -> Answer:
        """What most readers like."""
        ranked = rank(self.popularity.score(History.of([])), n)
        return self._answer(ranked, [(POPULAR,)] * len(ranked), "fallback")

    def book(self, book_id: str) -> dict[str, Any] | None:
        """The catalogue's entry, fit for JSON; None for an unknown book."""
        known = self.books.parse(book_id)
        if known is None:
            return None
        entry = self.catalogue.slice(int(self.books.nums([known])[0]), 1).to_pylist()[0]
        return {name: value for name, value in entry.items() if name != "row"}

    def _ranked(self, history: History, n: int) -> tuple[RankedBooks, int]:
        """A list filled up with popular books, and how many at its head are the hybrid's."""
        if not len(history.liked):
            return rank(self.popularity.score(history), n, history.book_nums), 0
        head = rank(self.hybrid.score(history), n, history.book_nums)
        if len(head) == n:
            return head, n
        excluded = np.concatenate([history.book_nums, head.book_nums])
        tail = rank(self.popularity.score(history), n, excluded)
        return _joined(head, tail, n), len(head)

    def _reasons(self, liked: History, book_nums: BookNums) -> list[tuple[str, ...]]:
        """For each book the liked ones that carry it most, or else that it is popular."""
        if not len(book_nums):
            return []
        return [self._because(liked, row) for row in self.hybrid.contributions(liked, book_nums)]

    def _because(self, liked: History, amounts: Scores) -> tuple[str, ...]:
        strongest = rank(amounts, MAX_REASONS)
        nums = liked.book_nums[strongest.book_nums[strongest.scores > 0]]
        return tuple(f"because you liked {self._title(int(num))}" for num in nums) or (POPULAR,)

    def _title(self, book_num: int) -> str:
        return self.catalogue["title"][book_num].as_py() or "an untitled book"

    def _answer(
        self, ranked: RankedBooks, reasons: Sequence[tuple[str, ...]], source: str
    ) -> Answer:
        rows = zip(
            ranked.book_nums.tolist(),
            self.books.ids(ranked.book_nums),
            ranked.scores.tolist(),
            reasons,
            strict=True,
        )
        items = tuple(
            Recommendation(book_id, self._title(num), self._authors(num), score, why)
            for num, book_id, score, why in rows
        )
        return Answer(items, source)

    def _authors(self, book_num: int) -> tuple[str, ...]:
        return tuple(self.catalogue["authors"][book_num].as_py() or ())

    def save(self, folder: Path) -> None:
        """Write all of it as one artifact; `folder` must not exist yet."""
        matrix = self.interactions.matrix
        arrays = {
            "histories_indptr": matrix.indptr,
            "histories_books": matrix.indices,
            "histories_weights": matrix.data,
            **_vocabulary_arrays("users", self.users),
            **_vocabulary_arrays("books", self.books),
        }
        files = {
            "hybrid": self.hybrid.save,
            "popularity": self.popularity.save,
            CATALOGUE: self._save_catalogue,
        }
        write_artifact(folder, self.kind, BundleConfig(), arrays, files)

    def _save_catalogue(self, path: Path) -> None:
        # One chunk, so that a row is found without a search.
        table = self.catalogue.combine_chunks()
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """
        Open a saved bundle; arrays and catalogue stay on disk until they are touched.

        Raises:
            ArtifactError: anything in it is missing or not as it was written.
        """
        artifact = read_artifact(folder, cls.kind)
        users, books = _vocabulary(artifact, "users"), _vocabulary(artifact, "books")
        parts = ("histories_weights", "histories_books", "histories_indptr")
        matrix = sparse.csr_array(
            tuple(artifact.array(name) for name in parts), shape=(len(users), len(books))
        )
        return cls(
            HybridRecommender.load(folder / "hybrid"),
            PopularityRecommender.load(folder / "popularity"),
            users,
            books,
            Interactions(matrix),
            _mapped_table(folder / CATALOGUE),
        )


def _joined(head: RankedBooks, tail: RankedBooks, n: int) -> RankedBooks:
    """As much of the tail behind the head as `n` leaves, its scores shifted below the head's."""
    if not len(head) or not len(tail):
        return head if len(head) else tail
    room = n - len(head)
    below = tail.scores[:room] - tail.scores[0] + head.scores[-1] - 1
    return RankedBooks(
        np.concatenate([head.book_nums, tail.book_nums[:room]]),
        np.concatenate([head.scores, below]),
    )


def _vocabulary_arrays(name: str, vocabulary: Vocabulary) -> dict[str, Array]:
    """Integers as they are; text as UTF-8 bytes and where each id ends."""
    if vocabulary.is_integer:
        return {f"{name}_ids": vocabulary.array}
    encoded = [str(text).encode() for text in vocabulary]
    return {
        f"{name}_text": np.frombuffer(b"".join(encoded), np.uint8),
        f"{name}_ends": np.cumsum([len(text) for text in encoded], dtype=np.int64),
    }


def _vocabulary(artifact: Artifact, name: str) -> Vocabulary:
    if f"{name}_ids" in artifact.arrays:
        return Vocabulary(artifact.array(f"{name}_ids"))
    text, ends = artifact.array(f"{name}_text").tobytes(), artifact.array(f"{name}_ends").tolist()
    return Vocabulary([text[i:j].decode() for i, j in zip([0, *ends], ends, strict=False)])


def _mapped_table(path: Path) -> pa.Table:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except pa.ArrowInvalid as error:
        raise ArtifactError(f"{path} is no catalogue: {error}") from None
