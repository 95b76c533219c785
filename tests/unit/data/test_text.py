import pytest

from pipelines.data.text import clean_text, repaired


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  A \t tale\nof two ", "A tale of two"),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("Tom &amp;amp; Jerry", "Tom & Jerry"),
        ("Zo\x00\u00eb", "Zoë"),
        ("a&nbsp;b", "a b"),
        ("R&D; AT&T &copy", "R&D; AT&T &copy"),
        ("&#65;&#x42;", "AB"),
        ("&am\x01p;", "&"),
        (" \x07 ", None),
        ("", None),
        (None, None),
        ("La casa de los espÃ\xadritus", "La casa de los espíritus"),
        ("ErzÃ?Â¤hlung", "Erzählung"),
        ("garÃ\x83Â§on", "garçon"),
        ("Ð¢Ð¾Ð»Ñ\x81Ñ\u201aÐ¾Ð¹", "Толстой"),
        ("itâ€\u2122s", "it\u2019s"),
        ("&#33436;&#28246;", "芜湖"),
        ("&Atilde;&copy;", "é"),
    ],
)
def test_text_is_freed_of_what_machines_did_to_it(text, cleaned):
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    "text",
    ["NÃO", "Ångström", "naïve “café”", "Ö und ü", "Ã?ngela", "=cmd|' /C calc'!A0", "<b>"],
)
def test_text_that_is_meant_so_stays(text):
    assert clean_text(text) == text


def test_rules_that_changed_a_text_are_named():
    assert repaired("  Le &amp; CarrÃ©\x01") == (
        "Le & Carré",
        {"html_entity", "twice_encoded", "control_character", "whitespace"},
    )
    assert repaired("Le & Carré") == ("Le & Carré", frozenset())
