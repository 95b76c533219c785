import pytest
from pydantic import SecretStr

from pipelines.errors import ConfigurationError
from serving.bootstrap import compose
from serving.caching.cache import NullCache
from serving.model.tracking import tracking_uri
from tests.serving_parts import settings

DATABASE = SecretStr("postgresql://u:p@db/bookrec")


def test_the_registry_is_where_it_is_set():
    chosen = settings(mlflow_tracking_uri=SecretStr("http://mlflow"), database_url=DATABASE)
    assert tracking_uri(chosen) == "http://mlflow"


def test_the_registry_lies_beside_our_database_otherwise():
    expected = "postgresql+psycopg2://u:p@db/bookrec_mlflow"
    assert tracking_uri(settings(database_url=DATABASE)) == expected


def test_neither_address_is_one_line_that_says_what_to_set():
    with pytest.raises(ConfigurationError, match="set BOOKREC_MLFLOW_TRACKING_URI or") as caught:
        compose(settings(database_url=None, mlflow_tracking_uri=None))
    assert "\n" not in str(caught.value)


def test_without_redis_there_is_no_cache():
    components = compose(settings(database_url=DATABASE, redis_url=None))
    assert isinstance(components.bulk_cache, NullCache)


def test_composing_connects_to_nothing():
    compose(settings(database_url=DATABASE, redis_url=SecretStr("redis://nowhere.invalid:1")))
