import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.interactions import Vocabulary

INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1))
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])))


def vocabulary(ids):
    return Vocabulary(np.array(ids, np.int64) if ids and isinstance(ids[0], int) else ids)


@given(st.one_of(INTEGERS, TEXTS), st.randoms(use_true_random=False))
def test_order_of_reading_does_not_matter(ids, random):
    """The same ids have the same positions, in ascending order, whatever order they come in."""
    shuffled = [*ids, *ids]
    random.shuffle(shuffled)
    assert list(vocabulary(shuffled)) == sorted(set(ids))


@given(st.one_of(INTEGERS, TEXTS))
def test_ids_and_positions_translate_into_each_other(ids):
    """Going there and back changes nothing."""
    made = vocabulary(ids)
    assert made.nums(made.array).tolist() == list(range(len(made)))
    assert made.ids(made.nums(made.array)) == list(made)
    assert {type(known) for known in made} <= {int, str}  # numpy's own cannot be written as JSON


@given(st.one_of(INTEGERS, TEXTS))
def test_what_an_id_writes_is_parsed_to_it(ids):
    """A known id is found by the text that it prints as."""
    made = vocabulary(ids)
    assert [made.parse(str(known)) for known in made] == list(made)


@given(st.lists(st.integers(-99, 99), min_size=1), st.text(max_size=4))
def test_only_the_canonical_text_is_parsed(ids, text):
    """No two texts mean the same integer."""
    parsed = vocabulary(ids).parse(text)
    assert parsed is None or str(parsed) == text


def test_mixed_ids_are_refused():
    """Ids are all integers or all text."""
    with pytest.raises(TypeError):
        Vocabulary([1, "a"])
