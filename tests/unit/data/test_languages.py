import pytest

from pipelines.data.languages import language_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("eng", "en"),
        ("en-US", "en"),
        ("en_GB", "en"),
        ("EN", "en"),
        ("English", "en"),
        ("fre", "fr"),
        ("fra", "fr"),
        ("zh-Hant", "zh"),
        ("mul", "mul"),
        ("fil", "fil"),
        ("--", None),
    ],
)
def test_codes_become_two_letters_where_known(text, code):
    assert language_code(text) == code
