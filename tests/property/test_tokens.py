from hypothesis import given
from hypothesis import strategies as st

from pipelines.service_settings import SecuritySettings
from serving.security.tokens import AccessTokens

KEYS = {"new": "n" * 32}


@given(st.text())
def test_no_text_makes_it_fail(text: str):
    """Whatever stands where a token should gives nothing, and no error."""
    tokens = AccessTokens(SecuritySettings(), lambda: KEYS)
    assert tokens.verify(text) is None
    assert tokens.verify(f"{text}.{text}.{text}") is None
