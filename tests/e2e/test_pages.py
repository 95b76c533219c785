"""Pages as a browser shows them, with nothing but this machine in reach."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipelines.processes import running
from pipelines.stack import api_program, free_port
from pipelines.stages.pipeline import execute, run_pipeline
from tests.pipeline_runs import MakeContext

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(not BROWSER, reason="browser test: no Chromium is installed"),
]


def rendered(url: str, profile: Path) -> str:
    """The document after its scripts have run; every host but this machine is out of reach."""
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--dump-dom", url,
    ]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return shown.stdout


def test_data_docs_can_be_read(make_context: MakeContext, tmp_path: Path):
    ctx = make_context()
    execute("ingest", ctx)
    told = execute("validate", ctx)
    page = rendered(Path(told["report"]).as_uri(), tmp_path / "profile")
    assert "Accepted" in page
    assert "960 rows" in page
    assert "ratings.html" in page


def test_the_evaluation_can_be_read(make_context: MakeContext, tmp_path: Path):
    told = run_pipeline(make_context(), lambda *_: None)
    page = rendered(Path(told["evaluate"]["report"]).as_uri(), tmp_path / "profile")
    assert "For whom, and for which books" in page
    assert "As far as can be told apart from chance, hybrid is" in page
    assert page.count("<svg") == page.count("<figure>") >= 13
    assert "var(--ink)" in page


def test_the_api_describes_itself(make_context: MakeContext, redis_url: str, tmp_path: Path):
    settings = make_context().settings
    api = settings.api.model_copy(update={"port": free_port()})
    own = settings.model_copy(update={"api": api, "redis_url": SecretStr(redis_url)})
    with running(api_program(own), log_folder=tmp_path) as wait_until_ready:
        wait_until_ready()
        page = rendered(f"{api.url}/docs", tmp_path / "profile")
    assert "/api/v1/users/{user_id}/recommendations" in page
    assert "Books for a reader" in page
