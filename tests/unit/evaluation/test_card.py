from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from pipelines.evaluation.report.card import DESCRIPTION_LENGTH, ModelCard, Origin, model_card
from pipelines.pages.page import Section
from tests.unit.evaluation.test_report import HOSTILE, measured, part

BLEND = {
    "weights": {"ease": 0.75, "content": 0.25},
    "weights_by_history": {"1": {"ease": 0.5, "content": 0.5}, "5": {"ease": 1.0, "content": 0.0}},
    "damping": 0.25,
    "ndcg_at_10_by_damping": {"0.0": 0.31, "0.25": 0.3},
    "new_books": 0.0,
    "ndcg_at_10_by_new_books": {"0.0": 0.31},
}
ORIGIN = Origin(
    model="bookrec-hybrid",
    version=7,
    run_id="run-1",
    date=datetime(2026, 3, 5, tzinfo=UTC),
    source="goodbooks-10k",
    library="shop",
    data_fingerprint="f00d",
    git_sha="c0ffee",
    quality_score=87.34,
    blend=BLEND,
    seconds={"ease": 12.0, "content": 3.5},
)


def card(slices=None, **changes: object) -> ModelCard:
    return model_card(measured(0.3, slices=slices), replace(ORIGIN, **changes))


def weak_spots(**slices: dict) -> list[str]:
    (section,) = [s for s in card(slices).page.sections if s.title == "Known weak spots"]
    return list(section.text)


def test_it_tells_data_split_numbers_weights_damping_seconds_and_licence():
    text = card().markdown
    for told in (
        "# Model card of bookrec-hybrid, version 7",
        "| NDCG@10 | 0.300 (0.290 to 0.310) |",
        "| Licence of the data | CC BY-SA 4.0 |",
        "| Quality score, of 100 | 87.3 |",
        "| Ratings to judge by | 2,000 |",
        "| 1 to 4 liked books | 50\N{NO-BREAK SPACE}% | 50\N{NO-BREAK SPACE}% |",
        "| Spread | 0.25 | 0.300 | yes |",
        "| all together | 15.5 |",
    ):
        assert told in text


def test_of_an_unknown_source_no_licence_is_claimed():
    assert "| Licence of the data | not known to this project |" in card(source="theirs").markdown


def test_a_slice_clearly_behind_the_best_of_its_group_is_a_weak_spot():
    assert weak_spots(
        history_1_4=part(0.1, 0.09, 0.11),
        history_5_9=part(0.3, 0.28, 0.32),
        history_10_up=part(0.29, 0.27, 0.31),
        books_tail=part(0.05, 0.04, 0.06),
    ) == [
        "Readers, by how many books they have met: NDCG@10 is clearly lower with "
        "1 to 4 books (0.100) than with 5 to 9 books (0.300)."
    ]


def test_of_few_readers_it_says_that_they_are_few():
    assert weak_spots(
        history_1_4=part(0.3, 0.28, 0.32), history_5_9=part(0.1, 0.09, 0.11, n=29)
    ) == [
        "No kind of reader or of book is clearly behind the others.",
        "Too few readers to say how it does with: 5 to 9 books.",
    ]


def test_groups_are_compared_within_themselves_whatever_their_order():
    slices = {
        "language_eng": part(0.3, 0.28, 0.32),
        "history_1_4": part(0.1, 0.09, 0.11),
        "language_ger": part(0.2, 0.19, 0.21),
    }
    (told,) = weak_spots(**slices)
    assert told.startswith("Books, by language: NDCG@10 is clearly lower with ger (0.200)")


@pytest.mark.parametrize("name", ["model", "source", "library", "data_fingerprint", "git_sha"])
def test_names_are_text_wherever_they_stand(name: str):
    hostile = card(**{name: HOSTILE})
    tags: list[str] = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, _: tags.append(tag)
    reader.feed(hostile.page.html())
    assert "script" not in tags
    assert "<" not in hostile.markdown
    assert "<" not in hostile.description("there")


def test_the_description_is_short_and_says_where_the_rest_is():
    told = card().description("model_card/ of its run")
    assert told.startswith("## In short")
    assert "## Known weak spots" in told
    assert "Fingerprint" not in told
    assert told.endswith("The whole card: model\\_card/ of its run.")


def test_a_description_that_would_be_too_long_ends_between_paragraphs():
    brief = (Section("Long", text=["x" * 3000, "y" * 3000, "z"]),)
    told = replace(card(), brief=brief).description("there")
    assert told == f"## Long\n\n{'x' * 3000}\n\nThe whole card: there."
    assert len(told) <= DESCRIPTION_LENGTH
