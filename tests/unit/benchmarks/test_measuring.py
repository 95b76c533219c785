import json
from pathlib import Path

import pytest

from benchmarks.measuring import Spread, print_table, threads_environment, write_results


def test_spread_is_the_median_and_the_extremes():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_spread_of_one_value_is_shown_without_extremes():
    assert str(Spread.of([1.5])) == "1.50"


def test_every_pool_gets_the_threads():
    assert set(threads_environment(1, "bookrec").values()) == {"1"}


def test_implicit_gets_its_threads_but_a_blas_without():
    variables = threads_environment(4, "implicit")
    assert (variables["OMP_NUM_THREADS"], variables["OPENBLAS_NUM_THREADS"]) == ("4", "1")


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]):
    print_table(["model", "s"], [["a", "10.0"], ["longer", "1.0"]])
    assert capsys.readouterr().out.splitlines() == [
        "model      s",
        "a       10.0",
        "longer   1.0",
    ]


def test_results_say_on_what_they_were_measured(tmp_path: Path):
    write_results(tmp_path / "new" / "r.json", {"rows": [1]})
    told = json.loads((tmp_path / "new" / "r.json").read_text())
    assert told["rows"] == [1]
    assert told["machine"]["cores"] >= 1
