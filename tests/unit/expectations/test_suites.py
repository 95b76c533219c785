import subprocess
import sys

from expectations import suites
from pipelines.data.schemas import BOOKS, RAW_RATINGS


def test_column_names_are_those_of_the_schemas():
    assert list(suites.RATING_COLUMNS) == RAW_RATINGS.names
    assert list(suites.BOOK_COLUMNS) == BOOKS.names


def test_importing_the_package_does_not_load_great_expectations():
    program = (
        "import sys, expectations.suites, expectations.runner, expectations.data_docs;"
        "sys.exit('great_expectations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
