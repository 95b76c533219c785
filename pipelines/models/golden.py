"""
Golden answers: what a model said when it was saved, for whoever opens it to hold it to.

Checksums prove that the files are the same; these prove that the same files still give the same
lists, under the code and libraries of the one who opens them. The questions are made of books
alone, so nothing here is about a reader, and nothing has to be changed when one is erased.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import ArtifactError
from pipelines.models.answers import Read, Recommendation

if TYPE_CHECKING:
    from pipelines.models.bundle import ModelBundle

GOLDEN_ANSWERS = "golden_answers.json"

LENGTH = 10
HISTORY_LENGTHS = (0, 1, 2, 5, 10, 20)
"""Of the readers made up: weights of a hybrid change with the length of a history."""
DRAWN_FROM = 50
"""Made-up readers like some of so many most popular books."""
TOLERANCE = 1e-3
"""Of scores, absolute up to 1 and relative beyond; other processors round otherwise."""


class GoldenAnswer(BaseModel):
    """A list for somebody who likes some books, or of books like one; ids as a URL writes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    liked: tuple[str, ...] = ()
    similar_to: str | None = None
    book_ids: tuple[str, ...]
    scores: tuple[float, ...]

    @property
    def question(self) -> str:
        """In words."""
        if self.similar_to is not None:
            return f"books like {self.similar_to}"
        return f"books for who likes {', '.join(self.liked)}" if self.liked else "popular books"

    def difference(self, items: tuple[Recommendation, ...]) -> str | None:
        """
        What an answer has otherwise; None if it is the same.

        Books whose recorded scores are equal within the tolerance may change places.
        """
        if len(items) != len(self.book_ids):
            return f"{len(items)} books instead of {len(self.book_ids)}"
        recorded = dict(zip(self.book_ids, self.scores, strict=True))
        for rank, (item, score) in enumerate(zip(items, self.scores, strict=True), start=1):
            if not _is_close(item.score, score):
                return f"score {item.score:.6g} at rank {rank} instead of {score:.6g}"
            # One that was not among them may only have been tied with the last.
            if not _is_close(recorded.get(str(item.book_id), self.scores[-1]), score):
                return f"book {item.book_id} at rank {rank} instead of {self.book_ids[rank - 1]}"
        return None


class GoldenAnswers(BaseModel):
    """The content of `golden_answers.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: tuple[GoldenAnswer, ...]

    @classmethod
    def of(cls, bundle: "ModelBundle") -> Self:
        """What a bundle says: the same questions for the same catalogue."""
        popular = [str(item.book_id) for item in bundle.popular(DRAWN_FROM).items]
        rng = np.random.default_rng(0)
        lengths = [length for length in HISTORY_LENGTHS if length <= len(popular)]
        drawn = (rng.choice(popular, length, replace=False).tolist() for length in lengths)
        answers = [_recorded(bundle, liked=tuple(liked)) for liked in drawn]
        answers += [_recorded(bundle, similar_to=book_id) for book_id in popular[:1]]
        return cls(answers=tuple(answers))

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """
        Read what `save` wrote.

        Raises:
            ArtifactError: it is something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ArtifactError(f"{path} holds no golden answers: {error}") from None


def check_golden_answers(bundle: "ModelBundle", folder: Path) -> None:
    """
    Ask an opened bundle what it was asked when it was saved; older ones were asked nothing.

    Raises:
        ArtifactError: it answers otherwise than it did.
    """
    path = folder / GOLDEN_ANSWERS
    if not path.exists():
        return
    for answer in GoldenAnswers.load(path).answers:
        items = _items(bundle, answer.liked, answer.similar_to)
        if (difference := answer.difference(items)) is not None:
            raise ArtifactError(
                f"the model no longer gives its golden answers: {answer.question}: {difference}: "
                "serve it with the libraries named in its manifest, or train it again"
            )


def _recorded(
    bundle: "ModelBundle", liked: tuple[str, ...] = (), similar_to: str | None = None
) -> GoldenAnswer:
    items = _items(bundle, liked, similar_to)
    return GoldenAnswer(
        liked=liked,
        similar_to=similar_to,
        book_ids=tuple(str(item.book_id) for item in items),
        # Far finer than the tolerance, and the same however many threads have added it up.
        scores=tuple(round(item.score, 6) for item in items),
    )


def _items(
    bundle: "ModelBundle", liked: tuple[str, ...], similar_to: str | None
) -> tuple[Recommendation, ...]:
    if similar_to is None:
        read = [Read(book_id) for book_id in liked]
        return bundle.recommend_for_history(read, LENGTH, explain=False).items
    answer = bundle.similar([similar_to], LENGTH)
    return () if answer is None else answer.items


def _is_close(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE * max(1.0, abs(other))
