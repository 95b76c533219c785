import faiss
import numpy as np
import pytest

from pipelines.errors import ArtifactError
from pipelines.models.vector_index import VectorIndex

VECTORS = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)


@pytest.fixture(params=["built", "mapped"])
def index(request, tmp_path):
    built = VectorIndex.build(VECTORS)
    if request.param == "built":
        return built
    built.save(tmp_path / "index.faiss")
    return VectorIndex.load(tmp_path / "index.faiss")


def test_products_with_every_row(index):
    assert index.products(VECTORS[3]) == pytest.approx(VECTORS @ VECTORS[3], rel=1e-5)


def test_search_gives_the_largest_products(index):
    rows, products = index.search(VECTORS[3], 4)
    expected = VECTORS @ VECTORS[3]
    assert rows.tolist() == np.argsort(-expected)[:4].tolist()
    assert products == pytest.approx(expected[rows], rel=1e-5)


def test_search_for_more_rows_than_there_are(index):
    assert sorted(index.search(VECTORS[0], 100)[0].tolist()) == list(range(9))


def test_rows_come_back_as_they_went_in(index):
    assert index.vectors(np.array([7, 0])).tolist() == VECTORS[[7, 0]].tolist()
    assert index.vectors(np.empty(0, np.int32)).shape == (0, 5)


def test_empty_index_finds_nothing(tmp_path):
    VectorIndex.build(np.empty((0, 5), np.float32)).save(tmp_path / "index.faiss")
    index = VectorIndex.load(tmp_path / "index.faiss")
    assert len(index.search(VECTORS[0], 3)[0]) == 0
    assert len(index.products(VECTORS[0])) == 0


def test_there_is_no_way_to_add(index):
    assert not [name for name in dir(index) if "add" in name or "train" in name]


def test_file_that_is_no_index_is_refused(tmp_path):
    (tmp_path / "index.faiss").write_bytes(b"garbage")
    with pytest.raises(ArtifactError, match="no FAISS index"):
        VectorIndex.load(tmp_path / "index.faiss")


def test_index_of_another_kind_is_refused(tmp_path):
    faiss.write_index(faiss.IndexFlatL2(5), str(tmp_path / "index.faiss"))
    with pytest.raises(ArtifactError, match="IndexFlatL2, not an IndexFlatIP"):
        VectorIndex.load(tmp_path / "index.faiss")
