import pyarrow as pa
import pytest

from pipelines.data.distributions import IdSketch
from pipelines.data.erased import reader_ids


@pytest.mark.parametrize(
    ("original", "found"),
    [
        ('{"user_id":"zoe","book_id":"7"}', ["zoe"]),
        ('{"User-ID":" zoe ","ISBN":"7"}', ["zoe"]),
        ('{"id":"zoe","age":7}', ["zoe", "7"]),
        ('zoe;7;"5', ["zoe", "7", "5"]),
        ("\"zoe\",'7'|x\ty\r\n", ["zoe", "7", "x", "y"]),
        ("7", ["7"]),
    ],
)
def test_readers_are_found_in_rows_that_were_parsed_and_in_lines_that_were_not(original, found):
    assert list(reader_ids(original)) == found


def test_a_sketch_forgets_the_hash_of_one_id_and_no_other():
    sketch = IdSketch.of(pa.array(["ann", "bob", "zoe"]))
    without = sketch.without("zoe")
    assert without.hashes == IdSketch.of(pa.array(["ann", "bob"])).hashes
    assert without.without("zoe") == without
    assert sketch.without("nobody") == sketch
