"""`forget`: after it, nothing anywhere holds the reader; whoever asks for them is a stranger."""

import hmac
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import redis
import sqlalchemy as sa
from pydantic import SecretStr

from pipelines.champion import export_recommendations, load_by_alias
from pipelines.diagnosis import diagnose
from pipelines.erasure import act
from pipelines.erasure.act import forget, lift
from pipelines.erasure.exports import record
from pipelines.errors import DataError, StageFailedError, StorageError, UnknownReaderError
from pipelines.models.bundle import ModelBundle
from pipelines.registry import (
    CONTENT,
    RETRAIN_WANTED,
    ModelVersion,
    bundle_folders,
    content_of,
    mlflow_registry,
)
from pipelines.settings import Settings
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.cache_keys import list_key
from pipelines.storage.run_copies import RunCopy
from serving.model.slot import ModelSlot
from tests.everywhere import places
from tests.pipeline_runs import MakeContext, small_ratings

pytestmark = pytest.mark.integration

ZOE = "zoe-4711-unmistakable"
MODELS = ("popularity", "item_knn", "user_knn")
LABELS = ("1-0123456789ab", "2-ba9876543210")
REMOVED = "data were removed when a reader was erased"


def ratings_with_zoe() -> pd.DataFrame:
    """Readers whose ids are text; one of them with rows of every fate."""
    ratings = small_ratings().astype({"user_id": str, "rating": str})
    ratings["user_id"] = ratings["user_id"].replace({"7": ZOE})
    spoilt = pd.DataFrame(
        [
            (ZOE, 39, "good", 1_700_000_000),  # rejected when read
            (ZOE, 38, "9", 1_700_000_000),  # out of the scale of the others
            (ZOE, 999, "4", 1_700_000_000),  # of no known book
        ],
        columns=ratings.columns,
    )
    return pd.concat([ratings, spoilt], ignore_index=True)


@dataclass(frozen=True)
class Installation:
    """Everything that one home, its databases and its Redis hold."""

    settings: Settings
    make_context: MakeContext
    exported: Path

    def context(self, run_id: str) -> RunContext:
        return replace(self.make_context(run_id), settings=self.settings)

    def run(self, run_id: str) -> RunContext:
        ctx = self.context(run_id)
        run_pipeline(ctx, lambda *_: None)
        return ctx

    @property
    def library(self) -> str:
        return self.context("any").params.dataset

    def champion(self) -> tuple[ModelBundle, ModelVersion]:
        mlflow = self.context("any").registry
        return load_by_alias(mlflow, "champion", self.settings.home / "models")

    def export(self) -> None:
        bundle, version = self.champion()
        record(self.settings, self.exported, version)
        export_recommendations(bundle, 5, self.exported, on_progress=lambda _: None)

    def warm(self) -> None:
        with self._redis() as client:
            for reader in (ZOE, "8"):
                for label in LABELS:
                    client.set(self.key(label, reader), b"[]")

    def key(self, label: str, reader: str) -> str:
        return list_key(self.settings.registered_model, label, 50, reader)

    def keys(self) -> list[str]:
        with self._redis() as client:
            return sorted(key.decode() for key in client.scan_iter())

    def places(self, text: str = ZOE) -> list[str]:
        urls = self.settings.database_url, self.settings.mlflow_tracking_uri
        return places(
            text,
            databases=[url.get_secret_value() for url in urls],
            redis_url=self.settings.redis_url.get_secret_value(),
            folders=[self.settings.home, self.exported.parent],
        )

    def rows(self, query: str) -> list[tuple]:
        engine = sa.create_engine(self.settings.database_url.get_secret_value())
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(sa.text(query))]
        engine.dispose()
        return found

    def _redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.settings.redis_url.get_secret_value())


@pytest.fixture
def installation(
    run_settings: Settings, redis_url: str, make_context: MakeContext, library: Path, tmp_path: Path
) -> Installation:
    ratings_with_zoe().to_csv(library / "ratings.csv", index=False)
    (tmp_path / "out").mkdir()
    changes = {"redis_url": SecretStr(redis_url), "models": MODELS}
    settings = run_settings.model_copy(update=changes)
    return Installation(settings, make_context, tmp_path / "out" / "lists.parquet")


@pytest.fixture
def used(installation: Installation) -> Installation:
    """With a run, an export, and lists of two readers in Redis under two versions."""
    installation.run("first")
    installation.export()
    installation.warm()
    return installation


def assert_marked_and_whole(used: Installation) -> None:
    bundle, version = used.champion()
    assert version.tags[RETRAIN_WANTED].startswith("erasure 20")
    folder = used.context("any").registry.fetch(version.version, used.settings.home / "models")
    assert version.tags[CONTENT] == content_of(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]
    assert len(bundle.users) == 79


def test_nothing_but_a_keyed_hash_is_left_of_the_reader(used: Installation):
    assert len(used.places()) > 10
    told = forget(used.settings, ZOE, reason="asked by letter")
    assert (told.problems, used.places()) == ([], [])

    ((library, reason, digest, touched),) = used.rows(
        "select library, reason, reader_hash, touched from erasures where completed_at is not null"
    )
    assert (library, reason) == (used.library, "asked by letter")
    key = (used.settings.home / "erasure-key").read_bytes()
    assert digest == hmac.digest(key, f"reader\0{library}\0{ZOE}".encode(), "sha256").hex()
    assert used.places(key.decode()) == [str(used.settings.home / "erasure-key")]
    assert {kind for kind, count in touched.items() if count} == {
        "readers", "ratings", "profiles", "models", "run_files", "exported_rows", "cached_lists",
    }  # fmt: skip
    assert used.keys() == sorted(used.key(label, "8") for label in LABELS)
    exported = pd.read_parquet(used.exported)
    assert exported["user_id"].nunique() == 79
    assert_marked_and_whole(used)
    assert any("to be retrained: erasure" in f["details"] for f in diagnose(used.settings))


def test_what_is_about_nobody_stays_and_what_is_gone_says_why(used: Installation):
    forget(used.settings, ZOE)
    ctx = used.context("first")
    metrics = json.loads((ctx.folder.path / "evaluate" / "metrics.json").read_text())
    assert metrics["hybrid"]["metrics"]["ndcg_at_10"] > 0
    assert ctx.folder.has("register")
    assert ctx.folder.has("train/item_knn")
    left = [p.name for p in (ctx.folder.path / "train" / "user_knn").rglob("*") if p.is_file()]
    assert left == ["erased.json"]
    for stage in ("clean", "blend", "evaluate", "register"):
        with pytest.raises(StorageError, match=REMOVED):
            execute(stage, ctx)
    _, version = used.champion()
    assert version.tags["data_quality_report"].startswith("removed on 20")
    ((report,),) = used.rows("select quality ->> 'report' from data_profile")
    assert report.startswith("removed on 20")


def test_an_erased_reader_is_served_as_a_stranger_and_all_others_as_before(
    installation: Installation,
):
    models = {"models": ("popularity", "item_knn", "content")}
    installation = replace(installation, settings=installation.settings.model_copy(update=models))
    ctx = installation.run("first")
    slot = ModelSlot(ctx.registry, installation.settings.home / "models")
    assert slot.refresh()
    served = slot.loaded()
    before = {user: served.bundle.recommend(str(user), 10) for user in served.bundle.users}
    assert before[ZOE].source == "model"
    forget(installation.settings, ZOE)
    assert served.bundle.recommend("8", 10) == before["8"]  # what is mapped goes on to work

    assert slot.refresh()
    reloaded = slot.loaded()
    assert reloaded.label != served.label
    stranger = reloaded.bundle.recommend("nobody", 10)
    assert reloaded.bundle.recommend(ZOE, 10) == stranger
    assert stranger.source == "fallback"
    del before[ZOE]
    after = {user: reloaded.bundle.recommend(str(user), 10) for user in reloaded.bundle.users}
    assert after == before
    assert not slot.refresh()


def test_later_batches_drop_the_reader_until_that_is_lifted(used: Installation):
    forget(used.settings, ZOE)
    ctx = used.run("second")
    assert used.places() == []
    rows_in = len(small_ratings()) + 3
    assert ctx.summary("clean")["rows"]["ratings"] == {
        "in": rows_in, "kept": rows_in - 15, "quarantined": 0, "erased_reader": 15,
    }  # fmt: skip
    assert used.champion()[1].version == 2

    again = forget(used.settings, ZOE)
    assert again.removed == {}
    assert [erasure.library for erasure in again.erasures] == [used.library]

    assert lift(used.settings, ZOE) == [used.library]
    assert used.run("third").summary("clean")["rows"]["ratings"]["erased_reader"] == 0
    assert used.places() != []


def test_an_unknown_reader_or_another_library_changes_nothing(used: Installation):
    before = used.places()
    with pytest.raises(UnknownReaderError, match="nothing is kept of a reader 'nobody'"):
        forget(used.settings, "nobody")
    with pytest.raises(UnknownReaderError):
        forget(used.settings, ZOE, library="sample")
    assert used.places() == before
    assert used.rows("select * from erasures") == []


class Killed(BaseException):
    """As a signal would: nothing catches it."""


@pytest.mark.parametrize(
    ("holder", "name", "call"),
    [
        (ModelBundle, "save", 1),  # marked, not rewritten
        (bundle_folders.shutil, "rmtree", 2),  # exchanged, the old one still there
        (mlflow_registry, "content_of", 1),  # exchanged, the tag not set
        (RunCopy, "remove", 3),
        (act.exports, "rewrite", 1),
        (act, "drop_cached_lists", 1),
    ],
)
def test_an_act_that_was_killed_is_completed_by_the_next(
    used: Installation, monkeypatch: pytest.MonkeyPatch, holder: object, name: str, call: int
):
    whole, calls = getattr(holder, name), []

    def dying(*args: object, **kwargs: object) -> object:
        calls.append(name)
        if len(calls) == call:
            raise Killed
        return whole(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, dying)
        with pytest.raises(Killed):
            forget(used.settings, ZOE)
    assert used.rows("select completed_at from erasures") == [(None,)]
    ModelBundle.load(used.context("any").registry.fetch(1, used.settings.home / "models"))
    told = forget(used.settings, ZOE)
    assert (told.problems, used.places()) == ([], [])
    assert used.rows("select count(*) from erasures where completed_at is not null") == [(1,)]
    assert_marked_and_whole(used)


def test_a_batch_that_was_read_before_the_act_is_not_stored(used: Installation):
    ctx = used.context("second")
    for stage in ("ingest", "validate", "clean", "profile"):
        execute(stage, ctx)
    hidden = ctx.folder.path.rename(used.exported.parent / "hidden")
    forget(used.settings, ZOE)
    hidden.rename(ctx.folder.path)
    with pytest.raises(DataError, match="was erased after it was read: start a new run"):
        execute("store", ctx)
    assert used.rows("select * from readers where user_id like 'zoe%'") == []
    forget(used.settings, ZOE)
    assert used.places() == []


def test_another_key_is_refused_before_anything_is_read(used: Installation):
    forget(used.settings, ZOE)
    (used.settings.home / "erasure-key").write_text("another")
    with pytest.raises(StageFailedError, match="copy `erasure-key` from the home"):
        used.run("second")
    assert used.places() == []
