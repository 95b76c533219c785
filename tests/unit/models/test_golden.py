import json
from dataclasses import replace

import pytest

from pipelines.errors import ArtifactError
from pipelines.models.answers import Recommendation
from pipelines.models.artifact import MANIFEST, _render
from pipelines.models.bundle import ModelBundle
from pipelines.models.golden import (
    GOLDEN_ANSWERS,
    TOLERANCE,
    GoldenAnswer,
    GoldenAnswers,
    check_golden_answers,
)
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from tests.factories import N_BOOKS, USERS, bundle

RECORDED = GoldenAnswer(liked=("1",), book_ids=("10", "20", "30"), scores=(0.9, 0.5, 0.2))
ITEM = Recommendation(0, "", (), 0.0, ())


@pytest.fixture
def folder(tmp_path):
    bundle().save(tmp_path / "bundle")
    return tmp_path / "bundle"


def items(**scores: float) -> tuple[Recommendation, ...]:
    return tuple(
        replace(ITEM, book_id=int(book.strip("b")), score=score) for book, score in scores.items()
    )


def test_a_bundle_that_was_opened_gives_its_golden_answers(folder):
    check_golden_answers(ModelBundle.load(folder), folder)
    recorded = GoldenAnswers.load(folder / GOLDEN_ANSWERS)
    assert [len(answer.liked) for answer in recorded.answers] == [0, 1, 2, 5, 10, 0]
    assert recorded.answers[-1].similar_to == "10"
    assert all(answer.book_ids for answer in recorded.answers)


def test_text_ids_are_asked_for_as_well(tmp_path):
    bundle([f"b/{n:02}" for n in range(N_BOOKS)]).save(tmp_path / "bundle")
    check_golden_answers(ModelBundle.load(tmp_path / "bundle"), tmp_path / "bundle")


def test_a_model_that_answers_otherwise_is_told_by_question_and_difference(folder):
    saved = ModelBundle.load(folder)
    weights = HybridConfig(weights={"item_knn": 0.01, "content": 0.99})
    hybrid = HybridRecommender(weights, saved.hybrid.parts)
    hybrid.thresholds_, hybrid.new_ = saved.hybrid.thresholds_, saved.hybrid.new_
    changed = ModelBundle(
        hybrid,
        saved.popularity,
        saved.users,
        saved.books,
        saved.interactions,
        saved.catalogue.table,
    )
    with pytest.raises(ArtifactError, match=r"golden answers: books for who likes .* instead of"):
        check_golden_answers(changed, folder)


def test_they_are_the_same_for_the_same_model(folder, tmp_path):
    bundle().save(tmp_path / "again")
    again = (tmp_path / "again" / GOLDEN_ANSWERS).read_bytes()
    assert again == (folder / GOLDEN_ANSWERS).read_bytes()


def test_they_name_no_reader_and_hold_when_one_is_erased(folder, tmp_path):
    text = (folder / GOLDEN_ANSWERS).read_text()
    assert not [user for user in USERS if user in text]
    without = ModelBundle.load(folder).without_reader("ann")
    check_golden_answers(without, folder)
    without.save(tmp_path / "without")
    assert (tmp_path / "without" / GOLDEN_ANSWERS).read_text() == text


def test_checksums_cover_them(folder):
    path = folder / GOLDEN_ANSWERS
    path.write_text(path.read_text().replace('"10"', '"11"', 1))
    with pytest.raises(ArtifactError, match="fails its checksum"):
        ModelBundle.load(folder)


def test_a_bundle_from_before_there_were_any_still_opens(folder):
    (folder / GOLDEN_ANSWERS).unlink()
    content = json.loads((folder / MANIFEST).read_text())
    del content["files"][GOLDEN_ANSWERS], content["sha256"]
    (folder / MANIFEST).write_text(_render(content))
    check_golden_answers(ModelBundle.load(folder), folder)


def test_something_else_in_their_place_is_one_typed_error(folder):
    (folder / GOLDEN_ANSWERS).write_text("[]")
    with pytest.raises(ArtifactError, match="holds no golden answers"):
        check_golden_answers(bundle(), folder)


@pytest.mark.parametrize(
    ("answered", "told"),
    [
        (items(b10=0.9, b20=0.5, b30=0.2), None),
        (items(b10=0.9, b20=0.5 + TOLERANCE / 2, b30=0.2), None),
        (items(b10=0.9, b20=0.5, b31=0.2), None),  # tied with the last, perhaps
        (items(b10=0.9, b20=0.5 + 2 * TOLERANCE, b30=0.2), "score 0.502 at rank 2 instead of 0.5"),
        (items(b20=0.9, b10=0.5, b30=0.2), "book 20 at rank 1 instead of 10"),
        (items(b10=0.9, b21=0.5, b30=0.2), "book 21 at rank 2 instead of 20"),
        (items(b10=0.9, b20=0.5), "2 books instead of 3"),
        (items(b10=float("nan"), b20=0.5, b30=0.2), "score nan at rank 1 instead of 0.9"),
    ],
)
def test_what_differs_is_the_order_the_score_or_the_length(answered, told):
    assert RECORDED.difference(answered) == told


def test_books_of_equal_score_may_change_places():
    tied = RECORDED.model_copy(update={"scores": (0.5, 0.5 - TOLERANCE / 4, 0.2)})
    assert tied.difference(items(b20=0.5, b10=0.5, b30=0.2)) is None
