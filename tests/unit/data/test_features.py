import numpy as np
import pytest
from scipy import sparse

from pipelines.data.features import KEPT, FeatureCache, content_hash

MADE = sparse.csr_array(np.eye(3, dtype=np.float32))


def never():
    raise AssertionError("it is there: nothing is to be made")


def files(folder):
    return sorted(path.name for path in (folder / "features").iterdir())


def test_a_feature_is_made_once_for_a_version(tmp_path):
    FeatureCache(tmp_path).get("words", "1", lambda: MADE)
    found = FeatureCache(tmp_path).get("words", "1", never)
    assert (found.toarray() == MADE.toarray()).all()
    assert found.dtype == np.float32


def test_another_version_is_another_feature(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.get("words", "1", lambda: MADE)
    assert cache.get("words", "2", lambda: 2 * MADE).sum() == 6


@pytest.mark.parametrize("damage", [b"", b"not a matrix", None])
def test_a_damaged_feature_is_made_again(tmp_path, damage):
    cache = FeatureCache(tmp_path)
    cache.get("words", "1", lambda: MADE)
    path = tmp_path / "features" / "words-1.npz"
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    assert cache.get("words", "1", lambda: MADE).sum() == 3
    assert cache.get("words", "1", never).sum() == 3


def test_only_the_versions_used_last_stay(tmp_path):
    cache = FeatureCache(tmp_path)
    for number in range(KEPT + 3):
        cache.get("words", str(number), lambda: MADE)
        cache.get("words", "0", lambda: MADE)  # used each time, and so never the oldest
    assert len(files(tmp_path)) == KEPT
    assert "words-0.npz" in files(tmp_path)


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path):
    (tmp_path / "features").write_text("a file where a folder should be")
    assert FeatureCache(tmp_path).get("words", "1", lambda: MADE).sum() == 3


def test_without_a_folder_nothing_is_kept():
    assert FeatureCache(None).get("words", "1", lambda: MADE).sum() == 3


def test_where_a_text_ends_is_part_of_the_hash():
    assert content_hash(["ab", "c"]) != content_hash(["a", "bc"])
    assert content_hash(["\ud800"]) != content_hash(["\ud801"])
