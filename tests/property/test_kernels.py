"""The compiled kernels say what their readable form says, mostly to the last bit."""

import copy
import ctypes
from ctypes import ArgumentError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipelines.errors import KernelsMissingError, ModelError
from pipelines.models.item_weights import rows_of
from pipelines.models.kernels import library, native
from tests.property import plainly

# Few distinct values, so that ties and sums of zero are the rule; the others of every size.
SOME = st.sampled_from([0.0, 0.0, 0.5, -0.5, 1.0, 3.0])
FLOATS = st.one_of(SOME, st.floats(-(2**20), 2**20, width=32))
SAID = st.one_of(st.just(-np.inf), SOME, st.floats(-1e6, 1e6, width=32))


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def books_of(data, n_books: int, *, unique: bool = True) -> np.ndarray:
    nums = st.lists(st.integers(0, n_books - 1), unique=unique, max_size=12)
    return np.array(data.draw(nums), np.int32)


@given(arrays(np.float32, st.integers(1, 12).map(lambda n: (n, n)), elements=FLOATS), st.data())
def test_sums_of_rows(dense, data):
    matrix = plainly.csr(dense)
    rows = [books_of(data, len(dense)) for _ in range(data.draw(st.integers(1, 5)))]
    weights = [data.draw(arrays(np.float32, len(nums), elements=FLOATS)) for nums in rows]
    totals = data.draw(st.lists(st.floats(1e-3, 1e3), min_size=len(rows), max_size=len(rows)))
    got = rows_of(matrix).sums(rows, weights, totals)
    assert got.tobytes() == plainly.sums_of_rows(matrix, rows, weights, totals).tobytes()


@pytest.mark.parametrize("indptr", [np.int32, np.int64])
@pytest.mark.parametrize("n_books", [1, 4095, 4096, 4097, 9000])
def test_sums_of_rows_of_catalogues_of_several_pieces(n_books, indptr):
    rng = np.random.default_rng(n_books)
    dense = np.where(rng.random((20, n_books)) < 0.01, drawn(0, 20, n_books), 0)
    matrix = plainly.csr(dense)
    data, indices = matrix.data, matrix.indices
    starts = np.concatenate([matrix.indptr, np.full(max(n_books - 20, 0), matrix.nnz)])
    rows = [rng.permutation(min(n_books, 20))[:size].astype(np.int32) for size in (0, 20, 7)]
    weights = [rng.random(len(nums)).astype(np.float32) for nums in rows]
    square = (data, indices, starts[: n_books + 1].astype(indptr))
    got = native.SparseRows(*square).sums(rows, weights, [1, 1, 3])
    assert got.tobytes() == plainly.sums_of_rows(matrix, rows, weights, [1, 1, 3]).tobytes()


@given(arrays(np.float32, st.integers(1, 12).map(lambda n: (n, n)), elements=FLOATS), st.data())
def test_cells_of_rows(dense, data):
    rows, columns = (books_of(data, len(dense), unique=False) for _ in range(2))
    got = rows_of(plainly.csr(dense)).cells(rows, columns)
    assert got.tolist() == dense[np.ix_(rows, columns)].T.tolist()


@pytest.mark.parametrize("size", [1, 5, 8, 13, 16, 128])
@pytest.mark.parametrize("n_books", [1, 7, 300])
def test_products_are_the_same_in_any_company(n_books, size):
    factors, tastes = drawn(1, n_books, size), drawn(2, 11, size)
    together = native.products(factors, tastes)
    assert together == pytest.approx(tastes.astype(float) @ factors.T.astype(float), abs=1e-4)
    for taste, row in zip(tastes, together, strict=True):
        assert native.products(factors, taste[np.newaxis])[0].tobytes() == row.tobytes()
    for first in range(4):
        some = native.products(factors, np.ascontiguousarray(tastes[first:]))
        assert some.tobytes() == together[first:].tobytes()
    for book in range(min(n_books, 20)):
        alone = native.products(factors[[book]], tastes)
        assert alone.tobytes() == together[:, [book]].tobytes()


@pytest.mark.parametrize("size", [1, 6, 8, 21, 64])
@pytest.mark.parametrize("strength", [1e-6, 1.0, 1e4])
def test_factors_of_readers_solve_the_system(size, strength):
    """Of readers of no book, of fewer and of more than there are factors, and of very many."""
    rng = np.random.default_rng(size)
    factors = drawn(size, 300, size) / np.float32(size)
    books = [rng.permutation(300)[:n].astype(np.int32) for n in (0, 1, size - 1, size, 70, 300)]
    above = [strength * rng.random(len(nums)) + 1e-9 for nums in books]
    got = native.factors_of_readers(factors, books, above)
    for taste, nums, some in zip(got, books, above, strict=True):
        expected = plainly.factors_of_reader(factors, nums, some)
        # float32 tells no more apart.
        assert taste == pytest.approx(expected, rel=2e-7, abs=2e-7 * np.abs(expected).max())
        alone = native.factors_of_readers(factors, [nums], [some])
        assert alone.tobytes() == taste.tobytes()


@given(
    arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=18), elements=SAID), st.data()
)
def test_blends(said, data):
    n_parts, n_readers, n_books = said.shape
    weight = st.sampled_from([0.0, 0.1, 0.35, 1.0, 3.0])
    new = {
        "knows_new": data.draw(st.lists(st.booleans(), min_size=n_parts, max_size=n_parts)),
        "new": books_of(data, n_books),
        "lift": data.draw(st.sampled_from([0.0, 0.3, 1.0])),
        "thresholds": data.draw(arrays(np.float32, n_books, elements=st.floats(0, 1, width=32))),
    }
    weights = data.draw(arrays(np.float64, (n_readers, n_parts), elements=weight))
    seen = [books_of(data, n_books, unique=False) for _ in range(n_readers)]
    knobs = data.draw(arrays(np.float32, n_readers, elements=st.sampled_from([0.0, 0.25, 1.0])))
    got = np.full((n_readers, n_books), np.nan, np.float32)
    told = native.blend(list(said), weights, seen=seen, knobs=knobs, out=got, **new)
    each = [
        plainly.blend(list(said[:, row]), weights[row], seen=seen[row], knob=knobs[row], **new)
        for row in range(n_readers)
    ]
    assert got.tobytes() == np.stack(each).tobytes()
    assert told == sum(bool(np.isfinite(row).any()) for row in unheard(said, weights, seen))


def unheard(said, weights, seen):
    """What is said of unseen books by parts that have a weight."""
    for row, nums in enumerate(seen):
        some = said[:, row][weights[row] != 0].copy()
        some[:, nums] = -np.inf
        yield some


@pytest.mark.parametrize("n_books", [1, 15, 16, 17, 9001])
@pytest.mark.parametrize("seed", range(3))
def test_blends_of_catalogues_of_any_size(n_books, seed):
    said = drawn(seed, 3, n_books)
    said[drawn(seed + 1, 3, n_books) > 0.5] = -np.inf
    weights, knows_new = [0.5, 0.2, 1.7], [True, False, False]
    seen, fresh = np.random.default_rng(seed).integers(0, n_books, (2, 7), np.int32)
    asked = {"new": np.unique(fresh), "lift": 0.5, "thresholds": np.abs(drawn(9, n_books))}
    got = np.empty((1, n_books), np.float32)
    native.blend(list(said), [weights], knows_new, [seen], knobs=[0.3], out=got, **asked)
    expected = plainly.blend(list(said), weights, knows_new, seen, knob=0.3, **asked)
    assert got[0].tobytes() == expected.tobytes()


@given(SAID, st.integers(1, 300), st.integers(1, 400))
def test_the_best_of_equal_ones_are_the_first(score, n_books, n):
    scores = np.full(n_books, score, np.float32)
    assert native.best(scores, n).tolist() == plainly.best(scores, n)


@given(st.integers(1, 300), st.integers(1, 400), st.integers(1, 40), st.integers(0, 9))
def test_the_best_are_the_head_of_a_full_sort(n_books, n, n_values, seed):
    scores = np.random.default_rng(seed).integers(0, n_values, n_books).astype(np.float32)
    scores[scores == 1] = -np.inf
    scores[scores == 2] = np.inf
    scores[scores == 3] = np.nan
    assert native.best(scores, n).tolist() == plainly.best(scores, n)


FACTORS = drawn(0, 5, 3)
NUMS = np.array([0], np.int32)
ONE = np.ones(1)


@pytest.mark.parametrize("num", [-1, 5, 2**31, -(2**32)])
def test_no_row_but_those_that_are_there_is_looked_at(num):
    wrong, weight = np.array([num]), np.ones(1, np.float32)
    square = rows_of(plainly.csr(np.eye(5)))
    with pytest.raises(IndexError, match="not between 0 and 4"):
        square.sums([wrong], [weight], [1])
    for rows, columns in ((wrong, NUMS), (NUMS, wrong)):
        with pytest.raises(IndexError, match="not between 0 and 4"):
            square.cells(rows, columns)
    if num in (-1, 5):
        with pytest.raises(IndexError, match="not between 0 and 4"):
            square.sums([wrong.astype(np.int32)], [weight], [1])
    with pytest.raises(IndexError, match="not between 0 and 4"):
        native.factors_of_readers(FACTORS, [wrong], [ONE])
    out = np.empty((1, 5), np.float32)
    with pytest.raises(IndexError, match="not between 0 and 4"):
        native.blend([out.copy()], [[1]], [False], [wrong], out=out)
    with pytest.raises(IndexError, match="not between 0 and 4"):
        native.blend([out.copy()], [[1]], [False], [NUMS], out=out, new=wrong, lift=1)


@pytest.mark.parametrize("indices", [[0, 40_000], [-1, 0], [39_999, 0], [0, 2**31 - 1]])
def test_columns_that_are_none_are_not_written_to(indices):
    data, indptr = np.ones(2, np.float32), np.concatenate([[0], np.full(40_000, 2)])
    columns = np.array(indices, np.int32)
    with pytest.raises(ModelError, match="do not ascend"):
        native.SparseRows(data, columns, indptr).sums([NUMS], [np.ones(1, np.float32)], [1])


@pytest.mark.parametrize("indptr", [[0, 3, 3], [-1, 2, 2], [2, 0, 2]])
def test_rows_beyond_the_end_are_refused(indptr):
    data = np.ones(2, np.float32)
    with pytest.raises(ModelError, match="train the model again"):
        native.SparseRows(data, np.array([0, 1], np.int32), np.array(indptr)).sums(
            [NUMS], [data[:1]], [1]
        )
    with pytest.raises(ModelError, match="train the model again"):
        native.SparseRows(data, np.array([0, 1], np.int32), np.array(indptr)).cells(NUMS, NUMS)


def test_arrays_of_another_kind_are_refused():
    with pytest.raises(ArgumentError, match="contiguous array of float32"):
        native.products(FACTORS.astype(np.float64), FACTORS)
    with pytest.raises(ArgumentError, match="contiguous array of float32"):
        native.products(FACTORS, drawn(0, 3, 5).T)
    with pytest.raises(ArgumentError, match="contiguous array of float32"):
        native.best(np.zeros(3), 1)
    with pytest.raises(ValueError, match="of 15 elements is needed, not of 10"):
        native.products(FACTORS, drawn(0, 5, 2))
    out = np.empty((1, 4), np.float32)
    with pytest.raises(ValueError, match="of 4 elements is needed, not of 5"):
        native.blend([np.zeros(5, np.float32)], [[1]], [True], [NUMS], out=out)
    with pytest.raises(ValueError, match="of 1 elements is needed, not of 2"):
        native.blend([out], [[1, 2]], [True], [NUMS], out=out)
    with pytest.raises(ValueError, match="at most 64 parts"):
        native.blend([], [[1]], [True], [NUMS], out=out)
    with pytest.raises(ValueError, match="of 1 elements is needed, not of 2"):
        native.factors_of_readers(FACTORS, [NUMS], [np.ones(2)])


def test_processors_without_avx_give_the_same(monkeypatch):
    """Products may fuse multiplication and addition, and so end a little differently."""
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((300, 300)) < 0.1, drawn(0, 300, 300), 0)
    books, weights = [rng.permutation(300)[:40].astype(np.int32)], [drawn(1, 40)]
    factors, said = drawn(2, 300, 20) / 20, drawn(3, 3, 1, 300)

    def answers():
        blended = np.empty((1, 300), np.float32)
        native.blend(list(said), [[1, 2, 3]], [True] * 3, books, out=blended)
        exact = rows_of(plainly.csr(dense)).sums(books, weights, [3]), blended
        tastes = native.factors_of_readers(factors, books, [np.abs(weights[0].astype(float))])
        scores = native.products(factors, tastes)
        return b"".join(map(np.ndarray.tobytes, exact)), native.best(scores[0], 5).tolist(), scores

    exact, nums, scores = answers()
    monkeypatch.setattr(native, "library", lambda: library.opened("scoring.so"))
    others = answers()
    assert others[:2] == (exact, nums)
    assert others[2] == pytest.approx(scores, abs=1e-6)


def test_pythons_lock_is_free_meanwhile():
    """A function of `ctypes.CDLL` gives it up for each call; one of `PyDLL` does not."""
    functions = library.library()
    of_pydll = ctypes.PyDLL(None)._FuncPtr._flags_ & ~ctypes.CDLL(None)._FuncPtr._flags_
    held = {n for n in library.SIGNATURES if getattr(functions, n)._flags_ & of_pydll}
    assert held == library.SHORT


def test_without_the_library_it_is_said_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    library.library.cache_clear()
    try:
        with pytest.raises(KernelsMissingError, match=r"is missing .*: run `make setup`"):
            native.best(np.zeros(3, np.float32), 1)
        (tmp_path / "scoring.so").write_text("no library")
        with pytest.raises(KernelsMissingError, match="or is not one for"):
            native.best(np.zeros(3, np.float32), 1)
    finally:
        monkeypatch.undo()
        library.library.cache_clear()
    assert native.best(np.zeros(3, np.float32), 1).tolist() == [0]


def test_no_book_is_the_best_of_none():
    assert native.best(np.ones(3, np.float32), 0).tolist() == []
    assert native.best(np.empty(0, np.float32), 3).tolist() == []


def test_a_copy_of_rows_has_memory_of_its_own():
    rows = rows_of(plainly.csr(np.diag([1.0, 2.0, 3.0])))
    copied = copy.deepcopy(rows)
    before = rows.sums([NUMS], [ONE.astype(np.float32)], [1]).tobytes()
    del rows
    assert copied.sums([NUMS], [ONE.astype(np.float32)], [1]).tobytes() == before
    assert copied._lie == [
        kind.address(array)
        for kind, array in zip(
            (library.LONGS, library.INTS, library.FLOATS), copied._arrays, strict=True
        )
    ]
