"""`bookrec migrate`: once before a release, and harmless whenever else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect

from pipelines.storage.database import connect, sibling
from tests.servers import execute

pytestmark = pytest.mark.integration

BOOKREC = Path(sys.executable).parent / "bookrec"


def migrated(**variables: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if not name.startswith("BOOKREC_")}
    return subprocess.run(
        [BOOKREC, "migrate"], env=env | variables, capture_output=True, text=True, check=False
    )


def test_an_empty_server_gets_database_and_tables_and_a_full_one_stays(postgres_url: str):
    url = sibling(postgres_url, "migrated")
    try:
        for _ in range(2):
            ended = migrated(BOOKREC_DATABASE_URL=url)
            assert (ended.returncode, ended.stdout) == (0, "the tables are up to date\n")
        engine = connect(url)
        assert {"ratings", "alias_moves"} <= set(inspect(engine).get_table_names())
        engine.dispose()
    finally:
        execute(postgres_url, "drop database if exists {} with (force)", url.rpartition("/")[2])


def test_without_an_address_it_says_which_to_set(tmp_path: Path):
    ended = migrated(BOOKREC_HOME=str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr.startswith("bookrec: set BOOKREC_DATABASE_URL")
