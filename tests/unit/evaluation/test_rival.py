import numpy as np
import pyarrow as pa
import pytest

from pipelines.data.dataset import Dataset
from pipelines.data.interactions import History, Vocabulary
from pipelines.data.splits import Part
from pipelines.evaluation.protocol import Holdout
from pipelines.evaluation.rival import Translated, fair_readers
from tests.unit.evaluation.test_protocol import ScoresBy

OURS = Vocabulary([10, 20, 30, 40])
THEIRS = Vocabulary([5, 20, 40])


class Remembers(ScoresBy):
    def __init__(self):
        self.told = None
        super().__init__(self._remember)

    def _remember(self, history):
        self.told = history
        return np.array([0.5, 0.2, 0.4])


def test_a_model_of_another_vocabulary_hears_and_says_what_both_know():
    model = Remembers()
    translated = Translated(model, THEIRS, OURS)
    history = History(np.array([3, 0, 1], np.int32), np.array([1, 1, 0], np.float32))
    assert translated.score(history) == pytest.approx([-np.inf, 0.2, -np.inf, 0.4])
    assert model.told.book_nums.tolist() == [2, 1]
    assert model.told.weights.tolist() == [1, 0]


def test_books_met_are_not_recommended_though_the_model_does_not_know_them_all():
    translated = Translated(Remembers(), THEIRS, OURS)
    (ranked,) = translated.recommend([History.of([3, 0])], 5)
    assert ranked.book_nums.tolist() == [1]


def test_ids_of_another_kind_are_unknown():
    translated = Translated(Remembers(), Vocabulary(["10", "20", "30"]), OURS)
    assert translated.score(History.of([0])).tolist() == [-np.inf] * 4


def dataset(users, books, rows):
    """Rows of (user_num, book_num, part)."""
    user_nums, book_nums, parts = (np.array(column) for column in zip(*rows, strict=True))
    return Dataset(
        users=Vocabulary(users),
        books=books,
        catalogue=pa.table({}),
        user_nums=user_nums.astype(np.int32),
        book_nums=book_nums.astype(np.int32),
        weights=np.ones(len(rows), np.float32),
        parts=parts.astype(np.int8),
        ordered=False,
    )


def test_readers_are_fair_where_the_other_run_learnt_nothing_of_what_they_are_to_find():
    ours = dataset([1, 2, 3, 4], OURS, [(0, 0, Part.TRAIN)])
    readers = Holdout(
        [History.of([0])] * 4,
        [np.array(books, np.int32) for books in ([1], [2, 3], [1], [0])],
        np.arange(4),
    )
    # Their readers are 2, 3 and 9; of them reader 2 was learnt with book 40, reader 3 tested on 20.
    rows = [(0, 2, Part.TRAIN), (1, 1, Part.TEST), (2, 1, Part.TRAIN), (2, 0, Part.TRAIN)]
    theirs = dataset([2, 3, 9], THEIRS, rows)
    learnt = (Part.TRAIN, Part.VALIDATION)
    assert fair_readers(readers, ours, theirs, learnt).tolist() == [True, False, True, True]
    assert fair_readers(readers, ours, theirs, (*learnt, Part.TEST)).tolist() == [
        *(True, False, False, True)
    ]
