import pytest

from pipelines.data.quarantine import quarantine_table
from pipelines.errors import DataError
from pipelines.stages.clean import account


def aside(dataset):
    return quarantine_table(dataset, [1], ["rule"], ["{}"])


def test_rows_in_are_rows_kept_and_rows_quarantined():
    told = account("ratings", 5, 3, aside("ratings"), aside("ratings"))
    assert told == {"in": 5, "kept": 3, "quarantined": 2, "erased_reader": 0}


def test_rows_of_erased_readers_are_neither_and_add_up_too():
    told = account("ratings", 5, 3, aside("ratings"), aside("books"), erased=1)
    assert told == {"in": 5, "kept": 3, "quarantined": 1, "erased_reader": 1}
    with pytest.raises(DataError, match="of 5 ratings 3 were kept and 1 quarantined, 2 erased"):
        account("ratings", 5, 3, aside("ratings"), aside("books"), erased=2)


def test_rows_of_another_dataset_do_not_count():
    assert account("books", 4, 3, aside("books"), aside("ratings"))["quarantined"] == 1


@pytest.mark.parametrize("kept", [2, 4])
def test_a_row_that_is_nowhere_or_in_two_places_stops_the_run(kept):
    with pytest.raises(DataError, match=f"of 5 ratings {kept} were kept and 2 quarantined"):
        account("ratings", 5, kept, aside("ratings"), aside("ratings"))
