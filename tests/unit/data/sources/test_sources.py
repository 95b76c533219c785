import pytest

from pipelines.data.schemas import BOOKS, RAW_RATINGS
from pipelines.data.sources import create_source, source_names
from pipelines.errors import ConfigurationError
from tests.sources import read_all


def test_every_source_is_created_by_its_name():
    assert [create_source(name).name for name in source_names()] == source_names()
    assert source_names() == [
        "book-crossing", "feedback", "goodbooks-10k", "interactions", "library", "postgresql",
        "sample",
    ]  # fmt: skip


def test_unknown_source_names_the_known_ones():
    with pytest.raises(ConfigurationError, match="choose from book-crossing, feedback, goodbooks"):
        create_source("goodbooks")


def test_sample_needs_no_path_and_says_that_it_is_simulated():
    tables = read_all("sample", None)
    assert tables.ratings.schema == RAW_RATINGS
    assert tables.books.schema == BOOKS
    assert "simulated" in tables.source.label
    assert tables.source.order == "timestamp"
