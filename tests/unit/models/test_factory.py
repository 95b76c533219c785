import subprocess
import sys

import pytest

from pipelines.errors import ArtifactError, ConfigurationError
from pipelines.models.factory import create, load_model, model_names
from pipelines.models.item_knn import ItemKnnConfig
from tests.factories import bundle


def test_config_reaches_the_model():
    assert create("item_knn", k_neighbors=7).config == ItemKnnConfig(k_neighbors=7)


def test_names_are_those_of_the_models():
    assert [create(name).name for name in model_names()] == model_names()


def test_models_of_this_project_are_declared():
    assert model_names() == [
        "content",
        "ease",
        "genre_popularity",
        "item_knn",
        "matrix_factorization",
        "popularity",
        "recent_popularity",
        "user_knn",
    ]


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigurationError, match="no model oracle: choose from content, ease"):
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


def test_no_library_of_training_is_imported_to_serve():
    program = (
        "import sys; from pipelines.models.factory import create, model_names\n"
        "for name in model_names(): create(name)\n"
        "print(sorted({'implicit', 'mlflow', 'optuna', 'sklearn'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
