import sys

import numpy as np
import pytest
import structlog

from pipelines import plugins
from pipelines.data.interactions import History
from pipelines.data.sources import create_source, source_names
from pipelines.errors import ArtifactError, ConfigurationError
from pipelines.models.embeddings.factory import create_provider, embed_texts
from pipelines.models.factory import create, load_model, model_names
from tests.factories import checkerboard_data
from tests.packages import install, install_theirs

MODELS, SOURCES, EMBEDDINGS = "bookrec.models", "bookrec.sources", "bookrec.embeddings"
A_MODEL = """
from pipelines.models.popularity import PopularityRecommender
class Model(PopularityRecommender):
    name = "mine"
"""


def forget():
    """As in a new process."""
    plugins._offers.cache_clear()


def test_other_packages_stand_after_our_own_names(site):
    own = (model_names(), source_names())
    install_theirs(site)
    forget()
    assert model_names() == [*own[0], "same_author"]
    assert source_names() == [*own[1], "reading-log"]


def test_only_what_is_asked_for_is_imported(site):
    install_theirs(site)
    assert "same_author" in model_names()
    create("popularity")
    assert "bookrec_theirs" not in sys.modules
    create("same_author")
    assert "bookrec_theirs" in sys.modules


def test_their_model_is_configured_saved_and_opened_as_ours(site, tmp_path):
    install_theirs(site)
    model = create("same_author", others=0.5)
    model.fit(checkerboard_data(), rng=np.random.default_rng(0)).save(tmp_path / "model")
    opened = load_model(tmp_path / "model")
    history = History.of([4])
    assert opened.config.others == 0.5
    assert opened.recommend([history], 1)[0].book_nums.tolist() == [5]
    assert opened.score(history).tobytes() == model.score(history).tobytes()


def test_wrong_config_of_their_model_is_named(site):
    install_theirs(site)
    with pytest.raises(ConfigurationError, match="model same_author: others: Input should be"):
        create("same_author", others=-1)


def test_saved_model_of_a_package_that_is_gone_says_so(site, tmp_path):
    install_theirs(site)
    model = create("same_author").fit(checkerboard_data(), rng=np.random.default_rng(0))
    model.save(tmp_path / "model")
    next(site.glob("*.dist-info")).rename(tmp_path / "elsewhere")
    forget()
    with pytest.raises(ArtifactError, match=r"holds a same_author, .* install the package"):
        load_model(tmp_path / "model")


def test_their_source_is_made_by_name(site):
    install_theirs(site)
    assert create_source("reading-log").name == "reading-log"


def test_their_provider_embeds_texts_by_name(site):
    install_theirs(site)
    embedded = embed_texts(["a book", "another"], ["letters", "minilm"], {}, None)
    assert (embedded.provider, embedded.vectors.shape) == ("letters", (2, 26))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def :", "SyntaxError"),
        ("", "AttributeError"),
    ],
)
def test_broken_package_is_named_and_hurts_nobody_else(site, code, reason):
    install(site, "broken-pkg", {MODELS: {"mine": "broken_pkg:Model"}}, code)
    install_theirs(site)
    with pytest.raises(ConfigurationError, match="model mine: the package broken-pkg") as raised:
        create("mine")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    assert create("popularity").name == "popularity"
    assert create("same_author").name == "same_author"


def test_name_of_ours_cannot_be_taken(site):
    install(site, "taker", {MODELS: {"popularity": "taker:Model", "mine": "taker:Model"}}, A_MODEL)
    with structlog.testing.capture_logs() as events:
        assert type(create("popularity")).__module__ == "pipelines.models.popularity"
        assert model_names().count("popularity") == 1
    assert [(e["event"], e["name"], e["package"]) for e in events] == [
        ("plugin_ignored", "popularity", "taker")
    ]
    assert create("mine").name == "mine"


def test_name_that_two_packages_offer_is_refused_and_no_other(site):
    for package in ("first", "second"):
        install(site, package, {MODELS: {"mine": f"{package}:Model"}}, A_MODEL)
    assert model_names().count("mine") == 1
    with pytest.raises(ConfigurationError, match="model mine is offered by first and second"):
        create("mine")
    assert create("popularity").name == "popularity"


@pytest.mark.parametrize(
    ("group", "make", "noun"), [(MODELS, create, "model"), (SOURCES, create_source, "source")]
)
@pytest.mark.parametrize(
    "code",
    [
        "class Model:\n    name = 'mine'",
        "Model = 'mine'",
        A_MODEL.replace("mine", "other"),
    ],
)
def test_what_is_not_what_it_promises_is_refused(site, group, make, noun, code):
    install(site, "odd", {group: {"mine": "odd:Model"}}, code)
    with pytest.raises(ConfigurationError, match=f"{noun} mine: odd:Model of the package odd is"):
        make("mine")


def test_provider_that_cannot_be_made_is_refused(site):
    install(site, "odd", {EMBEDDINGS: {"mine": "odd:make"}}, "make = 'mine'")
    with pytest.raises(ConfigurationError, match="embedding provider mine: odd:make"):
        create_provider("mine", {})


def test_without_any_installed_package_there_is_a_hint(monkeypatch):
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [])
    forget()
    with pytest.raises(ConfigurationError, match="install this project"):
        create("popularity")
    forget()
