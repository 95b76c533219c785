"""What is registered and served: a hybrid, readers' histories and the catalogue in one unit."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from scipy import sparse

from pipelines.data.interactions import History, Interactions, Vocabulary
from pipelines.data.rating_scale import Scale, liked_threshold
from pipelines.errors import NoSearchError
from pipelines.models.answers import (
    POPULAR,
    TRENDING,
    Answer,
    AnswerWriter,
    Read,
    Reasons,
)
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import BookNums, ModelConfig, RankedBooks, Scores, SearchesText
from pipelines.models.catalogue import Catalogue, load_table
from pipelines.models.golden import GOLDEN_ANSWERS, GoldenAnswers
from pipelines.models.hybrid import HybridRecommender
from pipelines.models.lists import FALLBACK, MODEL, ListMaker, MixedList
from pipelines.models.popularity import (
    PopularityRecommender,
    RecentPopularityConfig,
    RecentPopularityRecommender,
)
from pipelines.models.reranking import POOL, UNCHANGED, Reranking
from pipelines.models.vocabularies import read_vocabulary, vocabulary_arrays

CATALOGUE = "catalogue.arrow"
DAYS = "histories_days"
TRENDS_KEPT = 8
"""Half-lives for which it is kept what trends: a look at all ratings for each."""


class BundleConfig(ModelConfig):
    """A bundle has nothing to tune; its hybrid keeps its own config."""

    rating_scale: Scale | None = None
    """On which readers rate; None where they do not."""


class ModelBundle:
    """
    Answers for readers and books by their ids, as a URL writes them.

    Immutable once made, so that any number of threads may ask at once. Lists are the books that
    rank `skip` + 1 to `skip` + `n`; what they wish beyond taste is in a `Reranking`, which raises
    UnknownPartError where it names a model that is no part of this one.
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
        config: BundleConfig | None = None,
    ) -> None:
        """
        Args:
            hybrid: Fitted on these books.
            popularity: Fitted on them too; fills what the hybrid leaves empty.
            users: Every reader with a row in `interactions`, even an empty one.
            books: Every book of the catalogue.
            interactions: All that readers have met: what to recommend from, and what never again.
            catalogue: Columns of `schemas.BOOKS`, and `mean_rating` where readers have rated; rows
                in the order of `books`.
            config: What else is known of the data.
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
        self.catalogue = Catalogue(catalogue)
        self.config = config or BundleConfig()
        self._lists = ListMaker(hybrid, popularity, self.catalogue, books)
        self._writer = AnswerWriter(self.catalogue, books)
        self._trends = lru_cache(TRENDS_KEPT)(self._trending)

    @property
    def weights(self) -> dict[str, float]:
        """What each part of the hybrid weighs, for readers of no particular history."""
        return dict(self.hybrid.config.weights)

    def history(self, user_id: str) -> History:
        """What a reader has met: nothing, if the reader is unknown."""
        known = self.users.known([user_id])
        return self.interactions.history(int(known[0])) if len(known) else History.of([])

    def history_of(self, read: Sequence[Read], user_id: str | None = None) -> History:
        """
        The history of somebody who read these books in this order, after all that is known of them.

        Of a book that comes twice the last counts; unknown ones are ignored.
        """
        before = History.of([]) if user_id is None else self.history(user_id)
        if not read:
            return before
        weights = dict(zip(before.book_nums.tolist(), before.weights.tolist(), strict=True))
        for book in read:
            for num in self.books.known([book.book_id]).tolist():
                weights.pop(num, None)
                weights[num] = 0.0 if book.dismissed else self._weight(book.rating)
        nums, values = np.array([*weights], np.int32), np.array([*weights.values()], np.float32)
        return History(nums, values)

    def _weight(self, rating: float | None) -> float:
        scale = self.config.rating_scale
        return float(rating is None or scale is None or rating >= liked_threshold(scale))

    def recommend(
        self,
        user_id: str,
        n: int,
        *,
        skip: int = 0,
        explain: bool = True,
        reranking: Reranking = UNCHANGED,
    ) -> Answer:
        """Unmet books for a reader; popular ones for a reader who is unknown or likes nothing."""
        (answer,) = self.recommend_to(
            [self.history(user_id)], n, skip=skip, explain=explain, reranking=reranking
        )
        return answer

    def recommend_for_history(
        self,
        read: Sequence[Read],
        n: int,
        *,
        skip: int = 0,
        explain: bool = True,
        reranking: Reranking = UNCHANGED,
    ) -> Answer:
        """Books for somebody who read these, whoever they are; popular ones if none is known."""
        (answer,) = self.recommend_to(
            [self.history_of(read)], n, skip=skip, explain=explain, reranking=reranking
        )
        return answer

    def recommend_to(
        self,
        histories: Sequence[History],
        n: int,
        *,
        skip: int = 0,
        explain: bool = True,
        reranking: Reranking = UNCHANGED,
    ) -> list[Answer]:
        """An answer for each history, the same as for this history alone."""
        made = self._lists.lists(histories, skip + n, reranking)
        hybrid = self._lists.asked(reranking.model)
        return [
            self._answered(hybrid, history, mixed.after(skip), explain)
            for history, mixed in zip(histories, made, strict=True)
        ]

    def recommend_many(self, user_nums: Sequence[int] | BookNums, n: int) -> list[RankedBooks]:
        """The lists of `recommend` for many readers, without their dress."""
        histories = self.interactions.histories(user_nums)
        return [mixed.ranked for mixed in self._lists.lists(histories, n, UNCHANGED)]

    def similar(
        self,
        book_ids: Sequence[str],
        n: int,
        *,
        skip: int = 0,
        reranking: Reranking = UNCHANGED,
    ) -> Answer | None:
        """
        Books near some books; no items if nothing is near them.

        Unknown ids are ignored; None if none is known. Damping is for readers, and does nothing.
        """
        nums = self.books.known(book_ids)
        if not len(nums):
            return None
        return self._plain(self._lists.around(nums, skip + n, reranking), skip, MODEL)

    def popular(self, n: int, *, skip: int = 0, reranking: Reranking = UNCHANGED) -> Answer:
        """What most readers like."""
        scores = self.popularity.score(History.of([]))
        ranked = self._lists.fitting(scores, skip + n, reranking)
        return self._plain(ranked, skip, FALLBACK, (POPULAR,))

    def trending(
        self,
        n: int,
        *,
        half_life_days: int,
        skip: int = 0,
        reranking: Reranking = UNCHANGED,
    ) -> Answer:
        """
        What readers have liked lately; what is popular, as "fallback", where no times are known.

        Args:
            n: Longest list wanted.
            half_life_days: A liking this much older than the newest counts half of it.
            skip: Books left out at the head.
            reranking: Further wishes.
        """
        if not self.interactions.has_times:
            return self.popular(n, skip=skip, reranking=reranking)
        ranked = self._lists.fitting(self._trends(half_life_days).copy(), skip + n, reranking)
        return self._plain(ranked, skip, MODEL, (TRENDING,))

    def _trending(self, half_life_days: int) -> Scores:
        config = RecentPopularityConfig(half_life_days=half_life_days)
        return RecentPopularityRecommender(config).scores_from(self.interactions)

    def search(
        self, text: str, n: int, *, skip: int = 0, reranking: Reranking = UNCHANGED
    ) -> Answer:
        """
        Books that fit a text, and the filters: of the `POOL` that fit the text best.

        Raises:
            NoSearchError: no part of the hybrid can search.
        """
        able = {name: p for name, p in self.hybrid.parts.items() if isinstance(p, SearchesText)}
        if not able:
            raise NoSearchError(
                "this version has no model that searches texts: "
                "run the pipeline with `content` among BOOKREC_MODELS"
            )
        part = able[max(able, key=lambda name: self.hybrid.config.weights[name])]
        found = part.search(text, POOL)
        scores = np.full(len(self.books), -np.inf, np.float32)
        scores[found.book_nums] = found.scores
        return self._plain(self._lists.fitting(scores, skip + n, reranking), skip, MODEL)

    def book(self, book_id: str) -> dict[str, Any] | None:
        """The catalogue's entry, fit for JSON; None for an unknown book."""
        known = self.books.known([book_id])
        return self.catalogue.entry(int(known[0])) if len(known) else None

    def _answered(
        self, hybrid: HybridRecommender, history: History, mixed: MixedList, explain: bool
    ) -> Answer:
        ranked, n_modelled = mixed.ranked, mixed.n_modelled
        reasons: list[Reasons] = []
        if explain:
            reasons = self._writer.because(hybrid, history.liked, ranked.book_nums[:n_modelled])
            reasons += [(POPULAR,)] * (len(ranked) - n_modelled)
        return self._writer.answer(ranked, reasons, mixed.source)

    def _plain(self, ranked: RankedBooks, skip: int, source: str, why: Reasons = ()) -> Answer:
        """The same reason for all."""
        rest = ranked.after(skip)
        return self._writer.answer(rest, [why] * len(rest), source)

    def without_reader(self, user_id: str) -> Self | None:
        """
        The same without a reader's id and history; None if there is no such reader.

        Others get the lists that they got before, unless a part learns from its readers' rows. What
        the models have learnt of books from this reader stays in them until they are trained again.
        """
        known = self.users.parse(user_id)
        if known is None:
            return None
        user_num = int(self.users.nums([known])[0])
        return type(self)(
            self.hybrid.without_reader(user_num),
            self.popularity,
            self.users.without(known),
            self.books,
            self.interactions.without_reader(user_num),
            self.catalogue.table,
            self.config,
        )

    def save(self, folder: Path) -> None:
        """Write all of it, and its golden answers, as one artifact; `folder` must not exist yet."""
        matrix, days = self.interactions.matrix, self.interactions.days
        arrays = {
            "histories_indptr": matrix.indptr,
            "histories_books": matrix.indices,
            "histories_weights": matrix.data,
            **({} if days is None else {DAYS: days}),
            **vocabulary_arrays("users", self.users),
            **vocabulary_arrays("books", self.books),
        }
        files = {
            "hybrid": self.hybrid.save,
            "popularity": self.popularity.save,
            CATALOGUE: self.catalogue.save,
            GOLDEN_ANSWERS: GoldenAnswers.of(self).save,
        }
        write_artifact(folder, self.kind, self.config, arrays, files)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """
        Open a saved bundle; arrays and catalogue stay on disk until they are touched.

        Raises:
            ArtifactError: anything in it is missing or not as it was written.
        """
        artifact = read_artifact(folder, cls.kind)
        users, books = read_vocabulary(artifact, "users"), read_vocabulary(artifact, "books")
        parts = ("histories_weights", "histories_books", "histories_indptr")
        matrix = sparse.csr_array(
            tuple(artifact.array(name) for name in parts), shape=(len(users), len(books))
        )
        return cls(
            HybridRecommender.load(folder / "hybrid"),
            PopularityRecommender.load(folder / "popularity"),
            users,
            books,
            Interactions(matrix, artifact.arrays.get(DAYS)),
            load_table(folder / CATALOGUE),
            artifact.config_as(BundleConfig),
        )
