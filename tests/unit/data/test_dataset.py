from dataclasses import replace

import numpy as np
import pytest

from pipelines.data.dataset import Dataset
from pipelines.data.interactions import Vocabulary
from pipelines.data.splits import Part
from tests.factories import catalogue


@pytest.fixture
def dataset():
    table = catalogue()
    return Dataset(
        users=Vocabulary(["ann", "bob"]),
        books=Vocabulary(table["book_id"].to_numpy()),
        catalogue=table,
        user_nums=np.array([1, 0, 1, 0], np.int32),
        book_nums=np.array([2, 3, 4, 5], np.int32),
        weights=np.array([1, 0, 1, 1], np.float32),
        parts=np.array([Part.TEST, Part.TRAIN, Part.TRAIN, Part.TRAIN], np.int8),
        ordered=True,
        days=np.array([10, np.nan, 12, 13], np.float32),
    )


def test_saved_dataset_is_the_same_when_it_is_opened(dataset, tmp_path):
    dataset.save(tmp_path)
    opened = Dataset.load(tmp_path)
    for name in ("user_nums", "book_nums", "weights", "parts", "days"):
        np.testing.assert_array_equal(getattr(opened, name), getattr(dataset, name))
    assert (list(opened.users), list(opened.books)) == (list(dataset.users), list(dataset.books))
    assert opened.catalogue.equals(dataset.catalogue)
    assert opened.ordered


@pytest.mark.parametrize("aliases", [{}, {"0-12": 120, "abc": 10}])
def test_other_ids_of_books_are_kept(dataset, tmp_path, aliases):
    named = replace(dataset, books=dataset.books.with_aliases(aliases))
    named.save(tmp_path)
    assert Dataset.load(tmp_path).books.aliases == aliases


def test_dataset_of_unknown_times_and_order_stays_so(dataset, tmp_path):
    replace(dataset, days=None, ordered=False).save(tmp_path)
    opened = Dataset.load(tmp_path)
    assert opened.days is None
    assert not opened.ordered
    assert opened.training_data(*Part).interactions.days is None


def test_models_learn_when_the_rows_of_their_parts_were_met(dataset):
    known = dataset.training_data(Part.TRAIN).interactions
    assert known.matrix.indices.tolist() == [3, 5, 4]
    np.testing.assert_array_equal(known.days, np.float32([np.nan, 13, 12]))
