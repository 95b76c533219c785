"""A load killed with SIGKILL while it writes: the library is as it was, and a new attempt works."""

import os
import signal
import subprocess
import sys

import pytest

from pipelines.storage.services import environment
from tests.integration.stages.test_loads import LIBRARY, Adding, changed_minds, load, versions
from tests.integration.stages.test_loads import adding as adding

pytestmark = pytest.mark.e2e

KILLED_LOAD = """
import os, signal, sys
from pipelines.settings import get_settings
from pipelines.stages.pipeline import run_pipeline
from pipelines.run_params import RunParams
from pipelines.stages.run_context import RunContext
from pipelines.storage import loads, merging

moment, data, library = sys.argv[1:]

def dying(function, is_last):
    def run(*given):
        told = function(*given)
        if is_last(*given):
            os.kill(os.getpid(), signal.SIGKILL)
        return told
    return run

if moment == "copied":  # the ratings of the batch are staged, and not merged
    merging._copy = dying(merging._copy, lambda _, frame: "rating" in frame)
else:  # all is written and recorded, and not committed
    loads.LoadRepository.record = dying(loads.LoadRepository.record, lambda *_: True)
params = RunParams(source="interactions", data_path=data, library=library, mode="addition")
run_pipeline(RunContext("run-2", params, get_settings()), lambda *_: None, last="store")
"""


@pytest.mark.parametrize("moment", ["copied", "recorded"])
def test_a_killed_load_leaves_the_library_as_it_was(adding: Adding, moment: str):
    first = adding("run-1")
    load(first)
    before = versions(first)
    second = adding("run-2", changed_minds(3, 5))
    env = os.environ | environment(first.settings)
    command = [sys.executable, "-c", KILLED_LOAD, moment, str(second.params.data_path), LIBRARY]
    killed = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert second.folder.has("profile")
    assert not second.folder.has("store")
    assert versions(first) == before
    told = load(second)
    assert (told["added"], told["changed"]) == (0, 8)
