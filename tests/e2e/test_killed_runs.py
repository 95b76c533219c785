"""A run killed with SIGKILL in the middle of a stage, and what is left of it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.champion import load_by_alias
from pipelines.registry import MlflowRegistry
from pipelines.run_params import RunParams
from pipelines.settings import Settings
from pipelines.stages.run_context import RunContext
from pipelines.storage.services import environment
from tests.pipeline_runs import N_READERS

pytestmark = pytest.mark.e2e

KILLED_RUN = """
import json, os, signal, sys
from pathlib import Path
from pipelines.settings import get_settings
from pipelines.stages.pipeline import run_pipeline
from pipelines.run_params import RunParams
from pipelines.stages.run_context import RunContext
from pipelines.storage import stored_folder

kill_at, data = sys.argv[1:]
replace = stored_folder._replace_folder

def replace_or_die(draft, final):
    before, after = "before:" + str(final), "after:" + str(final)
    if matches(before):
        os.kill(os.getpid(), signal.SIGKILL)  # all is computed, nothing has its name yet
    replace(draft, final)
    if matches(after):
        os.kill(os.getpid(), signal.SIGKILL)  # the folder stands, nothing that follows has happened

def matches(moment):
    when, address = kill_at.split(":")
    return moment.startswith(when) and moment.endswith("/" + address)

if kill_at:
    stored_folder._replace_folder = replace_or_die
reused = []
ctx = RunContext("run-1", RunParams(source="interactions", data_path=data), get_settings())
run_pipeline(ctx, lambda address, told, seconds, was_reused: was_reused and reused.append(address))
print(json.dumps(reused))
"""


def run(settings: Settings, library: Path, kill_at: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | environment(settings)
    command = [sys.executable, "-c", KILLED_RUN, kill_at, str(library)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_a_run_killed_again_and_again_completes_in_the_end(run_settings: Settings, library: Path):
    """Nothing half-written ever counts, what stands is reused, and one champion comes out."""
    ctx = RunContext("run-1", RunParams(), run_settings)
    registry = MlflowRegistry.from_settings(run_settings)
    moments = ("before:clean", "before:train/content", "after:evaluate", "before:promote")
    for moment in moments:
        killed = run(run_settings, library, moment)
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
        when, address = moment.split(":")
        assert ctx.folder.has(address) == (when == "after")
    finished = run(run_settings, library, "")
    assert finished.returncode == 0, finished.stderr[-2000:]
    reused = json.loads(finished.stdout.splitlines()[-1])
    assert {"validate", "clean", "train/content", "blend", "evaluate"} <= set(reused)
    assert [v.version for v in registry.versions()] == [1]
    bundle, version = load_by_alias(registry, "champion", run_settings.home / "models")
    assert (version.version, len(bundle.users)) == (1, N_READERS)
    drafts = [p for p in ctx.folder.path.rglob(".*") if p.is_dir()]
    assert drafts == []
