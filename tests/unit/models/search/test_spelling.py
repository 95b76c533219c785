import numpy as np
import pytest

from pipelines.models.search.spelling import Spelling, distance

WORDS = np.array(
    sorted([b"iron", b"orbit", b"client", b"wizard", b"wizards", b"lizard", b"tolkien"])
)


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [
        ("iron", "iron", 0),
        ("irno", "iron", 1),
        ("orbt", "orbit", 1),
        ("orbiit", "orbit", 1),
        ("arbit", "orbit", 1),
        ("cien", "client", 2),
        ("", "abc", 3),
        ("ca", "abc", 3),  # no letter is touched twice
    ],
)
def test_distance_counts_slips(one, other, slips):
    assert distance(one, other) == distance(other, one) == slips


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("irno", {"iron"}),
        ("toklien", {"tolkien"}),
        ("tlkein", {"tolkien"}),
        ("vizard", {"wizard", "lizard"}),
        ("cien", set()),
        ("ir", set()),
        ("xqzt", set()),
    ],
)
def test_nearest_words(word, meant):
    at, likeness = Spelling.of(WORDS).nearest(word, WORDS)
    assert {WORDS[i].decode() for i in at} == meant
    assert (0 < likeness < 1) == bool(meant)


def test_no_words_at_all():
    assert len(Spelling.of([]).nearest("word", np.empty(0, "S4"))[0]) == 0
