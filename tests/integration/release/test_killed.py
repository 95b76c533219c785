"""A promotion killed with SIGKILL between each two of its steps."""

import os
import signal
import subprocess
import sys

import pytest

from pipelines.registry import CHAMPION
from pipelines.storage.services import environment
from tests.integration.release.conftest import Releases

pytestmark = pytest.mark.integration

KILLED_PROMOTION = """
import os, signal, sys
from pathlib import Path
from pipelines.registry import MlflowRegistry
from pipelines.settings import get_settings
from pipelines.storage.alias_moves import AliasMoves
from tests.integration.release.conftest import Releases

when, step, version = sys.argv[1:]
owner = MlflowRegistry if step == "set_alias" else AliasMoves
do = getattr(owner, step)

def killed(*args, **kwargs):
    if when == "after":
        do(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, step, killed)
settings = get_settings()
Releases(settings, MlflowRegistry.from_settings(settings), Path()).promote(int(version))
"""
STEPS = {
    ("before", "record"): (False, False),
    ("after", "record"): (False, False),  # it was not committed
    ("before", "set_alias"): (False, True),
    ("after", "set_alias"): (True, True),
    ("after", "complete"): (True, True),
}
"""Whether the alias has moved, and whether the move is on record, though not as done."""


def test_one_champion_and_a_consistent_record_are_left_and_the_next_try_finishes(
    releases: Releases,
):
    releases.released(1)
    for (when, step), (moved, recorded) in STEPS.items():
        before, version = releases.champion, releases.register()
        done = releases.path
        command = [sys.executable, "-c", KILLED_PROMOTION, when, step, str(version)]
        env = os.environ | environment(releases.settings)
        killed = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
        holders = [v.version for v in releases.registry.versions() if CHAMPION in v.aliases]
        assert holders == [version if moved else before], (when, step)
        assert releases.path == [*done, *([(before, version, False)] if recorded else [])]
        for _ in range(2):
            releases.promote(version)
        assert releases.champion == version
        assert releases.path == [*done, (before, version, True)]
