"""What every test may use, and how tests are shared out among processes."""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.servers",
    "tests.pipeline_runs",
    "tests.packages",
    "tests.redis_cluster",
    "tests.replication",
]

# Other processes compete for the processor: how long an example takes says nothing about the code.
settings.register_profile(
    "unhurried",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("unhurried")

SERVERS = {"_postgres_server", "_redis_server", "cluster"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    A file's tests stay in one process, with their fixtures; whole systems run one after the other.

    Against servers that somebody else runs, only tests that use them say anything new.
    """
    for item in items:
        together = "e2e" if item.get_closest_marker("e2e") else item.location[0]
        item.add_marker(pytest.mark.xdist_group(together))
    if "BOOKREC_TEST_DATABASE_URL" in os.environ:
        idle = [item for item in items if SERVERS.isdisjoint(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in set(idle)]
