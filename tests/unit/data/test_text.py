import pytest

from pipelines.data.text import clean_text


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
    ],
)
def test_text_is_freed_of_entities_controls_and_blanks(text, cleaned):
    assert clean_text(text) == cleaned
