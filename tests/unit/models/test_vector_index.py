import faiss
import numpy as np
import pytest
import structlog

from pipelines.errors import ArtifactError
from pipelines.models.artifact import read_manifest, write_artifact
from pipelines.models.vector_index import FILE, KIND, IndexFacts, VectorIndex

VECTORS = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)


def unit_rows(n, size, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


MANY = unit_rows(2000, 16)


@pytest.fixture(params=["built", "mapped"])
def index(request, tmp_path):
    return reopened(VectorIndex.build(VECTORS), tmp_path, request.param)


@pytest.fixture(params=["built", "mapped"])
def graph(request, tmp_path):
    return reopened(VectorIndex.build(MANY, approximate_from=2000), tmp_path, request.param)


def reopened(built, folder, how):
    if how == "built":
        return built
    built.save(folder / "index")
    return VectorIndex.load(folder / "index")


def test_search_gives_the_largest_products(index):
    rows, products = index.search(VECTORS[3:5], 4)
    expected = VECTORS @ VECTORS[3:5].T
    assert rows.tolist() == np.argsort(-expected, axis=0)[:4].T.tolist()
    assert products == pytest.approx(np.take_along_axis(expected.T, rows, axis=1), rel=1e-5)


def test_search_for_more_rows_than_there_are(index):
    assert sorted(index.search(VECTORS[:1], 100)[0][0].tolist()) == list(range(9))


def test_search_for_no_vector(index):
    assert index.search(VECTORS[:0], 3)[0].shape == (0, 3)


def test_rows_come_back_as_they_went_in(index):
    assert index.vectors(np.array([7, 0])).tolist() == VECTORS[[7, 0]].tolist()
    assert index.vectors(np.empty(0, np.int32)).shape == (0, 5)


def test_empty_index_finds_nothing(tmp_path):
    index = reopened(VectorIndex.build(np.empty((0, 5), np.float32)), tmp_path, "mapped")
    assert index.search(VECTORS[:2], 3)[0].shape == (2, 0)


def test_there_is_no_way_to_add(index):
    assert not [name for name in dir(index) if "add" in name or "train" in name]


def test_small_index_is_exact(index):
    assert (index.facts.kind, index.facts.recall) == ("flat", 1.0)


def test_large_index_is_a_graph_that_finds_what_is_near(graph):
    rows, products = graph.search(MANY, 11)
    exact = np.sort(MANY @ MANY.T, axis=1)[:, -11:]
    assert graph.facts.kind == "hnsw"
    assert 0.95 <= graph.facts.recall <= 1
    assert (products >= exact[:, :1] - 1e-6).mean() >= 0.95
    assert products == pytest.approx(np.einsum("qnd,qd->qn", MANY[rows], MANY), abs=1e-5)


def test_rows_of_a_graph_come_back(graph):
    assert graph.vectors(np.array([1999, 3])).tolist() == MANY[[1999, 3]].tolist()


def test_facts_are_recorded(tmp_path):
    built = VectorIndex.build(MANY, provider="p", model="m", approximate_from=1)
    built.save(tmp_path / "index")
    config = read_manifest(tmp_path / "index").config
    assert config == {"kind": "hnsw", "provider": "p", "model": "m"} | {
        name: getattr(built.facts, name) for name in ("recall", "search_effort")
    }
    assert VectorIndex.load(tmp_path / "index").facts == built.facts


def test_two_graphs_of_the_same_rows_are_equal(tmp_path):
    for name in ("one", "two"):
        VectorIndex.build(MANY, approximate_from=1).save(tmp_path / name)
    one, two = ((tmp_path / name / FILE).read_bytes() for name in ("one", "two"))
    assert one == two


def test_effort_is_raised_where_a_graph_finds_too_little():
    lazy = VectorIndex.build(unit_rows(3000, 64), approximate_from=1, recall_floor=0.5)
    keen = VectorIndex.build(unit_rows(3000, 64), approximate_from=1, recall_floor=0.999)
    assert lazy.facts.search_effort < keen.facts.search_effort
    assert lazy.facts.recall < keen.facts.recall


def test_graph_that_misses_the_floor_gives_way_to_an_exact_index():
    with structlog.testing.capture_logs() as logs:
        index = VectorIndex.build(MANY, approximate_from=1, recall_floor=1.1)
    assert (index.facts.kind, index.facts.recall) == ("flat", 1.0)
    warnings = [e["event"] for e in logs if e["log_level"] == "warning"]
    assert warnings == ["approximate_index_given_up"]


def test_equal_rows_do_not_count_as_missed():
    index = VectorIndex.build(np.ones((500, 4), np.float32) / 2, approximate_from=1)
    assert index.facts.recall == 1


def stored(folder, index, facts):
    def write(path):
        if index is None:
            path.write_bytes(b"garbage")
        else:
            faiss.write_index(index, str(path))

    write_artifact(folder, KIND, facts, {}, {FILE: write})


def test_file_that_is_no_index_is_refused(tmp_path):
    stored(tmp_path / "index", None, IndexFacts())
    with pytest.raises(ArtifactError, match="no FAISS index"):
        VectorIndex.load(tmp_path / "index")


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_index_of_another_kind_is_refused(tmp_path, kind):
    stored(tmp_path / "index", faiss.IndexFlatL2(5), IndexFacts(kind=kind))
    with pytest.raises(ArtifactError, match="IndexFlatL2, not an Index"):
        VectorIndex.load(tmp_path / "index")
