"""A backup never brings back whom somebody has asked to forget since."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from pipelines.champion import load_by_alias
from pipelines.erasure.act import forget, lift
from pipelines.errors import ConfigurationError, StorageError
from pipelines.maintenance.backups import back_up, backups_folder
from pipelines.maintenance.restore import restore
from pipelines.registry import CONTENT, RETRAIN_WANTED, content_of
from pipelines.settings import Settings
from pipelines.stages.pipeline import run_pipeline
from pipelines.storage.erasure_ledger import ErasureLedger
from tests.everywhere import places
from tests.integration.maintenance.conftest import execute
from tests.integration.test_erasure import ZOE, ratings_with_zoe
from tests.pipeline_runs import MakeContext

pytestmark = pytest.mark.integration

OPEN = "select count(*) from erasures where completed_at is null"


@pytest.fixture
def settings(run_settings: Settings, redis_url: str) -> Settings:
    changes = {"redis_url": SecretStr(redis_url), "models": ("popularity", "user_knn")}
    return run_settings.model_copy(update=changes)


@pytest.fixture
def run(settings: Settings, make_context: MakeContext, library):
    ratings_with_zoe().to_csv(library / "ratings.csv", index=False)

    def run(run_id: str):
        ctx = replace(make_context(run_id), settings=settings)
        run_pipeline(ctx, lambda *_: None)
        return ctx

    return run


def where(settings: Settings) -> list[str]:
    """Where the reader is found, but for backups: those keep them until they expire."""
    urls = settings.database_url, settings.mlflow_tracking_uri
    found = places(
        ZOE,
        databases=[url.get_secret_value() for url in urls],
        redis_url=settings.redis_url.get_secret_value(),
        folders=[settings.home],
    )
    return [place for place in found if not place.startswith(str(backups_folder(settings).path))]


def test_whoever_was_erased_since_is_erased_again(settings: Settings, run):
    ctx = run("first")
    back_up(settings)
    library = ctx.params.dataset
    forget(settings, ZOE, reason="by letter")
    forget(settings, "8")
    lift(settings, "8")
    assert where(settings) == []

    done = restore(settings, "latest", overwrite=True)

    assert (done.erased_again, done.problems) == (1, [])
    assert where(settings) == []
    assert execute(settings, OPEN) == [(0,)]
    assert execute(settings, "select library, reason from erasures") == [(library, "by letter")]
    bundle, version = load_by_alias(ctx.registry, "champion", settings.home / "models")
    assert (bundle.users.parse(ZOE), bundle.users.parse("8")) == (None, "8")
    assert version.tags[RETRAIN_WANTED]
    folder = ctx.registry.fetch(version.version, settings.home / "models")
    assert version.tags[CONTENT] == content_of(folder)
    assert run("second").summary("clean")["rows"]["ratings"]["erased_reader"] == 15
    assert where(settings) == []


def test_whom_the_backup_does_not_know_stays_on_record(settings: Settings, run):
    back_up(settings)
    run("first")
    forget(settings, ZOE)
    assert restore(settings, "latest", overwrite=True).erased_again == 1
    assert execute(settings, OPEN) == [(0,)]
    assert run("second").summary("clean")["rows"]["ratings"]["erased_reader"] == 15


def test_an_erasure_lifted_since_the_backup_is_lifted(settings: Settings, run):
    run("first")
    forget(settings, ZOE)
    back_up(settings)
    lift(settings, ZOE)
    assert restore(settings, "latest", overwrite=True).erased_again == 0
    assert run("second").summary("clean")["rows"]["ratings"]["erased_reader"] == 0


def test_under_another_key_nobody_would_be_recognised(settings: Settings, run):
    run("first")
    back_up(settings)
    forget(settings, ZOE)
    other = settings.model_copy(update={"erasure_key": SecretStr("another")})
    with pytest.raises(ConfigurationError, match="put the old home's `erasure-key` here"):
        restore(other, "latest", overwrite=True)
    assert where(settings) == []


def test_without_a_record_outside_nothing_is_erased(settings: Settings, run, monkeypatch):
    run("first")
    before = where(settings)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ErasureLedger(settings.storage_root)._fs, "pipe_file", full)
    with pytest.raises(StorageError, match="cannot put the erasure on record"):
        forget(settings, ZOE)
    assert where(settings) == before
    assert execute(settings, "select * from erasures") == []
