"""The images, by the rules of hadolint and by what their stages say."""

import re

import pytest

from tests.deployment import DOCKER, judged
from tests.images import Image, images


def test_hadolint_finds_nothing():
    assert judged("hadolint", "--config", ".hadolint.yaml", str(DOCKER / "Dockerfile")) == ""


@pytest.mark.parametrize("image", images().values(), ids=lambda image: image.name)
def test_an_image_runs_as_nobody_in_particular_and_says_whether_it_is_well(image: Image):
    assert re.fullmatch(r"\d+(:\d+)?", image.last("USER"))
    assert not image.last("USER").startswith("0")
    assert image.last("HEALTHCHECK")
    assert image.last("ENTRYPOINT")


def test_what_is_installed_is_the_lock_and_no_more():
    assert {name: image.extras for name, image in images().items() if image.installs} == {
        "serving": {"serving", "s3"},
        "airflow": {"orchestration", "cluster", "s3"},
        "mlflow": set(),
    }
    for image in images().values():
        for install in image.installs:
            assert "--locked" in install
            assert ("--no-dev" in install) or ("--only-group mlflow-server" in install)


def test_no_secret_is_built_in_and_none_can_be():
    text = (DOCKER / "Dockerfile").read_text()
    assert not re.search(r"^(ARG|ENV).*(PASSWORD|SECRET|TOKEN|KEY)", text, re.MULTILINE)
    assert not re.search(r"^(COPY|ADD) \.", text, re.MULTILINE)
    allowed = (DOCKER.parent / ".dockerignore").read_text().splitlines()
    assert [line for line in allowed if line and not line.startswith(("#", "!"))] == [
        "*",
        "**/__pycache__",
    ]


def test_a_worker_that_dies_is_started_again():
    """BentoML leaves it dead where this variable is set, as its own images set it."""
    assert "BENTOML_CONTAINERIZED" not in images()["serving"].environment
