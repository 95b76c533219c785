"""That no two things wait for each other by accident."""

from tests.deployment import ROOT


def test_every_advisory_lock_has_its_number_in_one_place():
    """There, `unique` sees to it that it is taken once."""
    sources = [
        path for room in ("pipelines", "serving", "dags") for path in (ROOT / room).rglob("*.py")
    ]
    users = {path.name for path in sources if "pg_advisory" in path.read_text()}
    assert users == {"locks.py"}
