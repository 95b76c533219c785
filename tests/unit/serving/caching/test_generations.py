import math
import subprocess
import sys

import pytest

from serving.caching.generations import Generations


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "generations"


def test_a_reader_keeps_their_number_until_something_is_heard_of_them(path):
    generations = Generations(path)
    before, other = generations.of("7"), generations.of("8")
    assert generations.of("7") == before
    generations.renew("7")
    assert generations.of("7") != before
    assert generations.of("8") == other


def test_every_worker_sees_it_at_once(path):
    ours, theirs = Generations(path), Generations(path)
    before = theirs.of("7")
    ours.renew("7")
    assert theirs.of("7") == ours.of("7") != before


def test_a_worker_is_another_process(path):
    generations = Generations(path)
    before = generations.of("7")
    code = (
        "import sys, pathlib; from serving.caching.generations import Generations; "
        "Generations(pathlib.Path(sys.argv[1])).renew('7')"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
    assert generations.of("7") != before


def test_a_restart_does_not_bring_old_numbers_back(path):
    generations = Generations(path)
    generations.renew("7")
    number = generations.of("7")
    generations.close()
    assert Generations(path).of("7") == number


def test_ids_of_any_kind_have_a_number(path):
    generations = Generations(path)
    for user_id in ("", "Ünï 🕮", "\ud800", "x" * 10_000):
        generations.renew(user_id)
        assert generations.of(user_id) > 0


def test_it_is_known_how_long_ago_something_was_heard(path):
    generations = Generations(path)
    assert generations.age("7") > 1e9
    generations.renew("7")
    assert 0 <= generations.age("7") < 5


def test_a_number_of_a_time_to_come_tells_no_age(path, monkeypatch):
    generations = Generations(path)
    generations.renew("7")
    monkeypatch.setattr("serving.caching.generations.time.time", lambda: 0.0)
    assert generations.age("7") == math.inf
