import pytest

from pipelines.errors import ArtifactError, ConfigurationError
from pipelines.models.factory import MODELS, create, load_model
from pipelines.models.item_knn import ItemKnnConfig
from tests.factories import bundle


def test_config_reaches_the_model():
    assert create("item_knn", k_neighbors=7).config == ItemKnnConfig(k_neighbors=7)


def test_names_are_those_of_the_models():
    assert all(model.name == name for name, (_, model) in MODELS.items())


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigurationError, match="popularity, item_knn"):
        create("oracle")


@pytest.mark.parametrize(
    ("config", "named"), [({"neighbours": 3}, "neighbours"), ({"k_neighbors": 0}, "k_neighbors")]
)
def test_wrong_config_is_named(config, named):
    with pytest.raises(ConfigurationError, match=f"model item_knn: {named}"):
        create("item_knn", **config)


def test_folder_of_another_kind_is_refused(tmp_path):
    bundle().save(tmp_path / "bundle")
    with pytest.raises(ArtifactError, match="holds a bundle"):
        load_model(tmp_path / "bundle")
