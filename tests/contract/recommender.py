"""The laws of `Recommender`; inherit and say how to make a model."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.errors import ArtifactError, NotFittedError
from pipelines.models.base import RankedBooks, Recommender, rank
from tests.factories import (
    N_BOOKS,
    books_frame,
    checkerboard,
    checkerboard_data,
    checkerboard_rows,
    small_interactions,
)

HISTORIES = [
    History.of([]),
    History.of([0]),
    History.of([3, 1, 5]),
    History(np.array([2, 7, 4], np.int32), np.array([1, 0, 0.5], np.float32)),
    History(np.array([6], np.int32), np.array([0], np.float32)),
    History.of(range(N_BOOKS)),
    *checkerboard().histories(range(N_BOOKS)),
]


def rng() -> np.random.Generator:
    return np.random.default_rng(42)


def same(one: list[RankedBooks], other: list[RankedBooks]) -> bool:
    """Equal to the last bit."""
    return len(one) == len(other) and all(
        a.book_nums.tolist() == b.book_nums.tolist() and a.scores.tobytes() == b.scores.tobytes()
        for a, b in zip(one, other, strict=True)
    )


def is_mapped(array: np.ndarray) -> bool:
    """Whether its memory is a file's: that of an np.memmap, or of a plain view of one."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


class RecommenderContract(ABC):
    """Laws that hold for every model."""

    @classmethod
    @abstractmethod
    def make(cls) -> Recommender:
        """A model that is not fitted."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Recommender:
        """A saved model."""

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls) -> Recommender:
        return cls.make().fit(checkerboard_data(), rng=rng())

    @pytest.fixture
    def folder(self, model, tmp_path) -> Path:
        model.save(tmp_path / "model")
        return tmp_path / "model"

    def test_batch_equals_single(self, model):
        """A reader's list does not depend on who else is asked for."""
        single = [model.recommend([history], 5)[0] for history in HISTORIES]
        assert same(model.recommend(HISTORIES, 5), single)

    def test_a_reader_of_the_training_data_is_their_history(self, model):
        """No list is kept for anyone: whoever tells the same history gets the same list."""
        for trained in checkerboard().histories(range(N_BOOKS)):
            told = History(trained.book_nums.copy(), trained.weights.copy())
            ranked = rank(model.score(told), 5, told.book_nums)
            assert same([ranked], model.recommend([trained], 5))

    def test_loaded_model_gives_equal_lists(self, model, folder):
        """Saving and loading loses nothing."""
        loaded = self.load(folder)
        assert same(loaded.recommend(HISTORIES, N_BOOKS), model.recommend(HISTORIES, N_BOOKS))
        assert loaded.config == model.config

    def test_saving_a_loaded_model_gives_equal_lists(self, model, folder, tmp_path):
        """A loaded model is as good as the fitted one."""
        self.load(folder).save(tmp_path / "again")
        again = self.load(tmp_path / "again")
        assert same(again.recommend(HISTORIES, 5), model.recommend(HISTORIES, 5))

    def test_order_of_training_rows_does_not_matter(self, model):
        """The same ratings in another order are the same ratings."""
        rows = checkerboard_rows()
        order = rng().permutation(len(rows[0]))
        shuffled = Interactions.build(*(column[order] for column in rows), shape=(N_BOOKS, N_BOOKS))
        other = self.make().fit(TrainingData(shuffled, books_frame()), rng=rng())
        assert same(other.recommend(HISTORIES, 5), model.recommend(HISTORIES, 5))

    def test_order_of_a_history_does_not_matter(self, model):
        """What was liked counts, not when."""
        forward, backward = History.of([1, 3, 5, 8]), History.of([8, 5, 3, 1])
        assert same(model.recommend([forward], 5), model.recommend([backward], 5))

    def test_seen_books_are_excluded(self, model):
        """A met book is not recommended, liked or not."""
        for history, ranked in zip(HISTORIES, model.recommend(HISTORIES, N_BOOKS), strict=True):
            assert not set(ranked.book_nums.tolist()) & set(history.book_nums.tolist())

    def test_seen_books_are_given_on_demand(self, model):
        """Exclusion can be turned off."""
        history = History.of([0, 2, 4])
        open_list = model.recommend([history], N_BOOKS, exclude_seen=False)[0]
        assert set(open_list.book_nums.tolist()) & {0, 2, 4}

    @pytest.mark.parametrize("n", [1, 3, N_BOOKS, 100])
    def test_lists_are_short_sorted_and_without_duplicates(self, model, n):
        """At most n books, each once, finite scores that never ascend, ties by book_num."""
        for ranked in model.recommend(HISTORIES, n):
            assert len(ranked) <= n
            assert len(set(ranked.book_nums.tolist())) == len(ranked)
            assert np.isfinite(ranked.scores).all()
            assert ranked.scores.dtype == np.float32
            pairs = list(zip((-ranked.scores).tolist(), ranked.book_nums.tolist(), strict=True))
            assert pairs == sorted(pairs)

    def test_longer_list_begins_with_the_shorter(self, model):
        """n decides how much is shown, not what."""
        for short, long in zip(
            model.recommend(HISTORIES, 3), model.recommend(HISTORIES, 8), strict=True
        ):
            assert long.book_nums[: len(short)].tolist() == short.book_nums.tolist()

    def test_score_is_a_fresh_array(self, model):
        """A caller may change the scores without harm to the model."""
        first = model.score(HISTORIES[2])
        expected = first.copy()
        first[:] = 0
        assert first.flags.writeable
        assert model.score(HISTORIES[2]).tobytes() == expected.tobytes()

    def test_refit_forgets(self, model):
        """A second fit leaves nothing of the first."""
        small = TrainingData(small_interactions(), books_frame())
        refitted = self.make().fit(small, rng=rng()).fit(checkerboard_data(), rng=rng())
        assert same(refitted.recommend(HISTORIES, 5), model.recommend(HISTORIES, 5))

    def test_two_fits_with_the_same_seed_are_equal(self, model):
        """Nothing is random but what the rng gives."""
        other = self.make().fit(checkerboard_data(), rng=rng())
        assert same(other.recommend(HISTORIES, N_BOOKS), model.recommend(HISTORIES, N_BOOKS))

    def test_empty_history_gives_a_list(self, model):
        """A reader without a history is no error, even if nothing can be said."""
        assert len(model.recommend([History.of([])], 5)[0]) <= 5

    def test_training_without_a_single_liking_is_no_error(self):
        """All met, none liked: lists may be empty, but there are lists."""
        readers, books, weights = checkerboard_rows()
        unliked = Interactions.build(readers, books, 0 * weights, (N_BOOKS, N_BOOKS))
        model = self.make().fit(TrainingData(unliked, books_frame()), rng=rng())
        assert len(model.recommend(HISTORIES, 5)) == len(HISTORIES)

    def test_unfitted_model_says_so(self, tmp_path):
        """Asking too early is named as such."""
        with pytest.raises(NotFittedError, match="call fit"):
            self.make().recommend([History.of([0])], 5)
        with pytest.raises(NotFittedError):
            self.make().save(tmp_path / "unfitted")
        assert list(tmp_path.iterdir()) == []

    def test_misspelt_attribute_is_an_attribute_error(self, model):
        """Only learnt attributes speak of fitting."""
        with pytest.raises(AttributeError):
            model.no_such_thing  # noqa: B018

    def test_corrupt_byte_in_any_file_is_refused(self, folder):
        """Every byte counts: the first, the middle and the last of every file."""
        for path in sorted(folder.rglob("*.*")):
            intact = path.read_bytes()
            for position in {0, len(intact) // 2, len(intact) - 1}:
                broken = bytearray(intact)
                broken[position] ^= 1
                path.write_bytes(broken)
                with pytest.raises(ArtifactError):
                    self.load(folder)
            path.write_bytes(intact)
        self.load(folder)

    def test_missing_file_is_refused(self, folder):
        """A folder is whole or it is no model."""
        for path in sorted(folder.rglob("*.*")):
            intact = path.read_bytes()
            path.unlink()
            with pytest.raises(ArtifactError):
                self.load(folder)
            path.write_bytes(intact)

    def test_loaded_arrays_are_mapped(self, folder):
        """Processes that serve the same model share its memory."""
        loaded = self.load(folder)
        arrays = {k: v for k, v in vars(loaded).items() if isinstance(v, np.ndarray)}
        assert all(is_mapped(array) for array in arrays.values())
        for matrix in (value for value in vars(loaded).values() if sparse.issparse(value)):
            assert is_mapped(matrix.data)
            assert is_mapped(matrix.indices)


class PersonalContract(RecommenderContract):
    """Laws of models that look at who asks."""

    def test_unknown_readers_get_lists_of_their_own_at_once(self, model):
        """Two who were never trained on, of different tastes, differ in more than what is seen."""
        white, black = History.of([0, 2]), History.of([7, 9])
        met = np.array([0, 2, 7, 9], np.int32)
        lists = [rank(model.score(history), 3, met) for history in (white, black)]
        assert len(lists[0]) == len(lists[1]) > 0
        assert lists[0].book_nums.tolist() != lists[1].book_nums.tolist()


class CollaborativeContract(PersonalContract):
    """Laws of models that learn from who likes what."""

    def test_checkerboard_readers_get_their_own_colour(self, model):
        """A reader of black squares gets the one black square that they have not met."""
        board = checkerboard()
        for reader, ranked in enumerate(model.recommend(board.histories(range(N_BOOKS)), 1)):
            assert ranked.book_nums.tolist() == [reader]


class SimilarBooksContract(RecommenderContract):
    """Laws of models that know similar books."""

    def test_a_book_is_not_similar_to_itself(self, model):
        """One score a book, none for the book asked about."""
        for book_num in range(N_BOOKS):
            scores = model.similarity(book_num)
            assert scores.shape == (N_BOOKS,)
            assert scores.dtype == np.float32
            assert scores[book_num] == -np.inf
            assert not np.isnan(scores).any()

    def test_loaded_model_finds_the_same_books(self, model, folder):
        """Saving and loading loses nothing."""
        loaded = self.load(folder)
        for book_num in range(N_BOOKS):
            assert loaded.similarity(book_num).tobytes() == model.similarity(book_num).tobytes()


class ExplainsScoresContract(RecommenderContract):
    """Laws of models that can say why."""

    def test_contributions_stand_beside_the_liked_books(self, model):
        """One finite amount a liked book, some of it positive for what is recommended."""
        history = History(np.array([4, 2, 6], np.int32), np.array([1, 0, 1], np.float32))
        best = model.recommend([history], 3)[0].book_nums
        amounts = model.contributions(history, best)
        assert amounts.shape == (3, 2)
        assert amounts[0].max() > 0
        assert np.isfinite(amounts).all()

    def test_contributions_do_not_depend_on_what_else_is_asked(self, model):
        """A row is the same alone as among others, up to rounding."""
        history = History.of([2, 4, 6])
        together = model.contributions(history, np.array([8, 1], np.int32))
        alone = model.contributions(history, np.array([1], np.int32))
        assert together[1] == pytest.approx(alone[0], rel=1e-5, abs=1e-6)

    def test_without_what_carries_it_most_a_book_scores_less(self, model):
        """A reason of a single model is a cause: without the largest one the score falls."""
        for liked in ([2, 4, 6], [1, 3, 5, 8], [0, 1, 2, 3]):
            history = History.of(liked)
            scores = model.score(history)
            for book_num in model.recommend([history], 3)[0].book_nums:
                amounts = model.contributions(history, np.array([book_num], np.int32))[0]
                strongest = history.liked.book_nums[np.argmax(amounts)]
                rest = History.of([num for num in liked if num != strongest])
                assert amounts.max() > 0
                assert model.score(rest)[book_num] < scores[book_num]

    def test_empty_history_has_no_contributions(self, model):
        """Nothing liked, nothing to blame."""
        assert model.contributions(History.of([]), np.array([0, 1], np.int32)).shape == (2, 0)
