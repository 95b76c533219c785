import numpy as np

from benchmarks.synthetic import library_size, synthetic_dataset
from pipelines.data.interactions import TrainingData
from pipelines.data.splits import Part


def test_readers_grow_with_ratings_and_books_with_their_root():
    assert library_size(1_000_000) == (10_000, 10_000)
    assert library_size(4_000_000) == (40_000, 20_000)


def test_the_same_seed_gives_the_same_readers():
    a, b = (synthetic_dataset(20_000, seed=3) for _ in range(2))
    assert (a.book_nums == b.book_nums).all()
    assert (a.weights == b.weights).all()


def test_no_reader_meets_a_book_twice():
    made = synthetic_dataset(20_000)
    assert made.interactions(Part.TRAIN).matrix.has_canonical_format


def test_there_are_about_as_many_ratings_as_asked_for():
    assert 0.85 < len(synthetic_dataset(300_000).user_nums) / 300_000 < 1.15


def test_readers_have_tastes():
    """Books of one reader share readers far more often than books drawn by their fame alone."""
    made = synthetic_dataset(100_000)
    shuffled = np.random.default_rng(0).permutation(made.book_nums)
    assert shared_readers(made.training_data(Part.TRAIN), made.book_nums) > 1.2 * shared_readers(
        made.training_data(Part.TRAIN), shuffled
    )


def shared_readers(data: TrainingData, book_nums: np.ndarray) -> float:
    """Mean number of readers that two books of neighbouring rows have in common."""
    columns = (data.interactions.matrix > 0).astype(np.float32).tocsc()
    left, right = columns[:, book_nums[:-1:20]], columns[:, book_nums[1::20]]
    return float(left.multiply(right).sum(axis=0).mean())
