"""Which answers over HTTP are held against a champion."""

from dataclasses import replace

import pytest

from serving.model.promotion_watch import PromotionWatch
from tests.serving_parts import Shelf, admin, bundle, client, parts

ANSWERS = "/api/v1/users/{}/recommendations"


class Notes(PromotionWatch):
    """Remembers what was noted."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str | None, bool]] = []

    def answered(self, route: str, reader: str | None, *, failed: bool) -> None:
        self.noted.append((route, reader, failed))


@pytest.fixture
def notes() -> Notes:
    return Notes()


def ask(notes: Notes, model, *paths: str) -> list[int]:
    shelf = Shelf()
    shelf.publish(model)
    with client(replace(parts(shelf), watch=notes)) as http:
        return [http.get(path, headers=admin()).status_code for path in paths]


def test_an_answer_counts_computed_or_remembered_and_a_defect_does(notes: Notes):
    path = ANSWERS.format("a%2Fb")
    assert ask(notes, bundle(), path, path) == [200, 200]
    broken = bundle()
    broken.recommend_to = None
    assert ask(notes, broken, path) == [500]
    reader = (ANSWERS.format("{user_id}"), "a/b")
    assert notes.noted == [(*reader, False), (*reader, False), (*reader, True)]


def test_what_a_caller_did_wrong_counts_for_nothing(notes: Notes):
    assert ask(notes, bundle(), f"{ANSWERS.format(1)}?n=0", "/api/v1/nothing") == [422, 404]
    assert notes.noted == []
