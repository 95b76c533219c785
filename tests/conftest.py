"""What every test may use, and how tests are shared out among processes."""

import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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


class _Together(LoadScopeScheduling):
    """A file's tests stay in one process, with their fixtures; whole systems run one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return "e2e" if nodeid.startswith("tests/e2e/") else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _Together(config, log)


def pytest_xdist_auto_num_workers() -> int | None:
    """As many processes as there are servers for; of the project's own each starts some."""
    from tests.servers import redis_of_others  # a plugin: not before pytest itself imports it

    return len(redis_of_others()) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Against servers that somebody else runs, only tests that use them say anything new."""
    if "BOOKREC_TEST_DATABASE_URL" in os.environ:
        idle = [item for item in items if _says_nothing_new(item)]
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in set(idle)]


def _says_nothing_new(item: pytest.Item) -> bool:
    uses = getattr(item, "fixturenames", ())
    return SERVERS.isdisjoint(uses) or item.get_closest_marker("once") is not None
