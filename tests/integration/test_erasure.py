"""`forget`: after it, nothing anywhere holds the reader; whoever asks for them is a stranger."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import redis
import sqlalchemy as sa
from pydantic import SecretStr

from pipelines.champion import load_by_alias
from pipelines.erasure.act import forget
from pipelines.settings import Settings
from pipelines.stages.pipeline import run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.cache_keys import list_key
from tests.everywhere import places
from tests.pipeline_runs import MakeContext, small_ratings

pytestmark = pytest.mark.integration

ZOE = "zoe-4711-unmistakable"
MODELS = ("popularity", "item_knn", "user_knn")
LIBRARY = "interactions/library"


@dataclass(frozen=True)
class Installation:
    """Everything that one home, its databases and its Redis hold."""

    settings: Settings
    make_context: MakeContext
    exported: Path

    def run(self, run_id: str, **params: object) -> RunContext:
        ctx = self.make_context(run_id, **params)
        ctx = RunContext(ctx.run_id, ctx.params, self.settings)
        run_pipeline(ctx, lambda *_: None)
        return ctx

    def champion(self):
        registry = self.make_context().registry
        return load_by_alias(registry, "champion", self.settings.home / "models")

    def key(self, label: str, reader: str) -> str:
        return list_key(self.settings.registered_model, label, 50, reader)

    def warm(self, *keys: str) -> None:
        with redis.Redis.from_url(self.settings.redis_url.get_secret_value()) as client:
            for key in keys:
                client.set(key, b"[]")

    def keys(self) -> list[str]:
        with redis.Redis.from_url(self.settings.redis_url.get_secret_value()) as client:
            return sorted(key.decode() for key in client.scan_iter())

    def places(self, text: str = ZOE) -> list[str]:
        secrets = self.settings.database_url, self.settings.mlflow_tracking_uri
        return places(
            text,
            databases=[secret.get_secret_value() for secret in secrets],
            redis_url=self.settings.redis_url.get_secret_value(),
            folders=[self.settings.home, self.exported.parent],
        )

    def rows(self, query: str) -> list[tuple]:
        engine = sa.create_engine(self.settings.database_url.get_secret_value())
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(sa.text(query))]
        engine.dispose()
        return found


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


@pytest.fixture
def installation(
    run_settings: Settings, redis_url: str, make_context: MakeContext, library: Path, tmp_path: Path
) -> Installation:
    """A champion whose readers include her, in two runs; an export, and lists in Redis."""
    ratings_with_zoe().to_csv(library / "ratings.csv", index=False)
    (tmp_path / "out").mkdir()
    changes = {"redis_url": SecretStr(redis_url), "models": MODELS}
    settings = run_settings.model_copy(update=changes)
    return Installation(settings, make_context, tmp_path / "out" / "lists.parquet")


@pytest.fixture
def used(installation: Installation) -> Installation:
    installation.run("first")
    for label in ("1-0123456789ab", "2-ba9876543210"):
        installation.warm(*(installation.key(label, reader) for reader in (ZOE, "8")))
    return installation


def test_nothing_but_a_keyed_hash_is_left_of_the_reader(used: Installation):
    assert len(used.places()) > 10
    told = forget(used.settings, ZOE, reason="asked by letter")
    assert used.places() == []
    ((library, reason, digest, touched),) = used.rows(
        "select library, reason, reader_hash, touched from erasures where completed_at is not null"
    )
    assert (library, reason) == (LIBRARY, "asked by letter")
    assert len(digest) == 64
    assert touched["readers"] == 1
    assert touched == told.erasures[0].touched
