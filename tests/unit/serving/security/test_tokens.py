"""Access tokens: only what this service signed, for itself, and lately, opens anything."""

import base64
import json
import time
from typing import Any

import jwt
import pytest

from pipelines.credentials.roles import Role
from pipelines.service_settings import SecuritySettings
from serving.security.principal import Principal
from serving.security.tokens import AccessTokens

KEYS = {"new": "n" * 32, "old": "o" * 32}
ANN = Principal("user", "ann", frozenset({Role.READER}))


@pytest.fixture
def tokens() -> AccessTokens:
    return AccessTokens(SecuritySettings(), lambda: KEYS)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {"iss": "bookrec", "aud": "bookrec-api", "sub": "ann", "iat": now, "exp": now + 60}
    good |= {"jti": "1", "kind": "user", "roles": ["admin"]}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(secret: str = KEYS["new"], kid: Any = "new", algorithm: str = "HS256", **changes: Any):
    return jwt.encode(claims(**changes), secret, algorithm=algorithm, headers={"kid": kid})


def segment(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def test_what_is_issued_is_believed_until_it_expires(tokens: AccessTokens):
    said = tokens.verify(tokens.issue(ANN, "session"))
    assert (said.principal, said.session) == (ANN, "session")
    assert said.expires_at == pytest.approx(time.time() + 900, abs=2)


def test_the_first_key_signs_and_every_key_verifies(tokens: AccessTokens):
    assert jwt.get_unverified_header(tokens.issue(ANN))["kid"] == "new"
    assert tokens.verify(signed(KEYS["old"], "old")) is not None
    assert tokens.verify(signed()) is not None


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda: signed(KEYS["old"], "new"), id="another key under this id"),
        pytest.param(lambda: signed("x" * 32, "new"), id="wrong key"),
        pytest.param(lambda: signed("x" * 32, "unknown"), id="unknown key id"),
        pytest.param(lambda: signed("x" * 32, "../new"), id="key id as a path"),
        pytest.param(lambda: jwt.encode(claims(), KEYS["new"]), id="no key id"),
        pytest.param(lambda: signed(algorithm="HS384", secret="n" * 48), id="another algorithm"),
        pytest.param(lambda: signed(exp=int(time.time()) - 1), id="expired"),
        pytest.param(lambda: signed(iat=int(time.time()) + 600), id="issued in the future"),
        pytest.param(lambda: signed(aud="other-api"), id="other audience"),
        pytest.param(lambda: signed(aud=["bookrec-api", "other-api"]), id="several audiences"),
        pytest.param(lambda: signed(iss="other"), id="other issuer"),
        pytest.param(lambda: signed(kind="operator"), id="a kind that is never issued"),
        pytest.param(lambda: signed(roles=["root"]), id="no such role"),
        pytest.param(lambda: signed(roles="admin"), id="roles that are no list"),
        pytest.param(lambda: signed(roles=None), id="no roles"),
        *(
            pytest.param(lambda name=name: signed(**{name: None}), id=f"without {name}")
            for name in ("iss", "aud", "exp", "iat", "jti", "sub")
        ),
    ],
)  # fmt: skip
def test_what_is_forged_opens_nothing(tokens: AccessTokens, forged):
    assert tokens.verify(forged()) is None


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256"])
def test_an_unsigned_token_opens_nothing(tokens: AccessTokens, algorithm: str):
    header = segment({"alg": algorithm, "typ": "JWT", "kid": "new"})
    assert tokens.verify(f"{header}.{segment(claims())}.") is None


@pytest.mark.parametrize("kid", [None, 7, ["new"], {"new": 1}])
def test_a_key_id_that_is_no_text_opens_nothing(tokens: AccessTokens, kid: object):
    header = segment({"alg": "HS256", "typ": "JWT", "kid": kid})
    assert tokens.verify(f"{header}.{segment(claims())}.{segment('x')}") is None
