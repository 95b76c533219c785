"""`bookrec models`, `bookrec models history` and `bookrec rollback`, as a shell calls them."""

import getpass
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.errors import ConfigurationError, ReleaseError
from pipelines.settings import get_settings
from pipelines.storage.repositories import ReleaseRepository
from pipelines.storage.unit_of_work import unit_of_work
from tests.integration.release.conftest import Releases

pytestmark = pytest.mark.integration

Bookrec = Callable[..., Result]


@pytest.fixture
def bookrec(releases: Releases, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bookrec]:
    settings = releases.settings
    monkeypatch.setenv("BOOKREC_HOME", str(settings.home))
    monkeypatch.setenv("BOOKREC_DATABASE_URL", releases.url)
    monkeypatch.setenv(
        "BOOKREC_MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri.get_secret_value()
    )
    monkeypatch.setenv("BOOKREC_EXPERIMENT", settings.experiment)
    monkeypatch.setenv("BOOKREC_REGISTERED_MODEL", settings.registered_model)
    get_settings.cache_clear()
    yield lambda *words: CliRunner().invoke(app, [str(word) for word in words])
    structlog.reset_defaults()  # the command has pointed logs at what was stderr then
    get_settings.cache_clear()


def answered(result: Result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_versions_side_by_side_on_a_page(releases: Releases, bookrec: Bookrec, tmp_path: Path):
    assert "No version was measured yet" in bookrec("models", "compare").stdout
    for n, ndcg in enumerate([0.21, 0.25], start=1):
        releases.register()
        low, high = ndcg - 0.02, ndcg + 0.02
        metrics = {"ndcg_at_10": ndcg, "ndcg_at_10_low": low, "ndcg_at_10_high": high}
        metrics |= {"coverage_at_10": 0.4, "data_quality_score": 91.5}
        releases.registry.record_run("hybrid", f"run-{n}", params={}, metrics=metrics, tags={})
    releases.registry.set_alias("champion", 1)
    page = tmp_path / "page.html"
    assert bookrec("models", "compare", "--output", page).stdout == f"2 versions compared: {page}\n"
    html = page.read_text()
    assert "Version 2 has the highest NDCG@10, 0.250." in html
    for shown in ("1 champion", "91.5", "compare-runs?runs=", "Accuracy and coverage"):
        assert shown in html
    told = answered(bookrec("models", "compare", 1, "--json"))
    assert [(v["version"], v["metrics"]["ndcg_at_10"]) for v in told] == [(1, 0.21)]
    missing = bookrec("models", "compare", 7, 8)
    assert isinstance(missing.exception, ReleaseError)
    assert "there is no version 7, 8" in str(missing.exception)


def test_a_rollback_and_its_history(releases: Releases, bookrec: Bookrec):
    assert "No version was champion yet" in bookrec("models", "history").stdout
    releases.released(2)
    done = bookrec("rollback", "--reason", "complaints [sic]", "--yes")
    assert done.stdout == "Version 1 is champion, instead of 2.\n"
    history = answered(bookrec("models", "history", "--json"))
    assert [(m["from_version"], m["to_version"]) for m in history] == [(2, 1), (1, 2), (None, 1)]
    assert history[0]["who"] == f"cli:{getpass.getuser()}"
    shown = bookrec("models", "history").stdout
    assert "[sic]" in shown
    assert shown.index("rollback") < shown.index("promote")
    listed = answered(bookrec("models", "--json"))
    assert [(v["version"], v["aliases"]) for v in listed] == [(2, []), (1, ["champion"])]
    assert "champion" in bookrec("models").stdout
    again = answered(bookrec("rollback", "--to", 2, "--reason", "mended", "--yes", "--json"))
    assert (again["from_version"], again["to_version"]) == (1, 2)


def test_without_a_terminal_it_has_to_be_confirmed_beforehand(releases: Releases, bookrec: Bookrec):
    releases.released(2)
    refused = bookrec("rollback", "--reason", "complaints")
    assert isinstance(refused.exception, ConfigurationError)
    assert releases.champion == 2


def test_a_refusal_is_one_line(releases: Releases, bookrec: Bookrec):
    releases.released(1)
    refused = bookrec("rollback", "--reason", "complaints", "--yes")
    assert isinstance(refused.exception, ReleaseError)
    assert bookrec("rollback", "--yes").exit_code == 2


def test_what_the_gate_refused_is_promoted_by_force_alone_and_the_record_says_by_whom(
    releases: Releases, bookrec: Bookrec
):
    releases.released(1)
    version = releases.register(accepted=False)
    told = ("promote", version, "--reason", "the new catalogue", "--yes")
    refused = bookrec(*told)
    assert str(refused.exception) == (
        "version 2 was refused by the gate (failed: no better): force it if it has to be"
    )
    assert bookrec("promote", version, "--force", "--yes").exit_code == 2  # no reason
    assert bookrec(*told[:3], " ", "--force", "--yes").exit_code == 1
    assert releases.champion == 1
    assert bookrec(*told, "--force").stdout == "Version 2 is champion, instead of 1.\n"
    (move, _) = answered(bookrec("models", "history", "--json"))
    assert (move["action"], move["why"]) == ("promote", "the new catalogue")
    with unit_of_work(releases.url) as session:
        release = ReleaseRepository(session).find(releases.model, version)
    assert not release.accepted
    assert (release.forced["who"], release.forced["why"]) == (move["who"], "the new catalogue")
    assert bookrec("rollback", "--reason", "complaints", "--yes").exit_code == 0
    assert bookrec("rollback", "--to", 2, "--reason", "no", "--yes").exit_code == 0
    assert releases.champion == 2
