"""Access tokens: short JWTs that are verified without asking anybody."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import uuid4

import jwt
from jwt.exceptions import PyJWTError

from pipelines.credentials.roles import Role
from pipelines.service_settings import SecuritySettings
from serving.security.principal import Principal

ALGORITHM = "HS256"
_REQUIRED = ("iss", "aud", "exp", "iat", "jti", "sub")


@dataclass(frozen=True)
class AccessToken:
    """What a valid token says; `session` is the login it came from, if it can be ended."""

    principal: Principal
    expires_at: float
    session: str | None = None


class AccessTokens:
    """
    Issues and verifies.

    Args:
        settings: Issuer, audience and lifetime.
        keys: Gives secrets by key id, the current one first; asked when first needed.
    """

    def __init__(self, settings: SecuritySettings, keys: Callable[[], dict[str, str]]) -> None:
        self._settings = settings
        self._find_keys = keys

    @cached_property
    def _keys(self) -> dict[str, str]:
        return self._find_keys()

    def issue(self, principal: Principal, session: str | None = None) -> str:
        """A token for `principal`, signed with the current key."""
        key_id, secret = next(iter(self._keys.items()))
        now = int(time.time())
        claims = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": principal.subject,
            "iat": now,
            "exp": now + self._settings.access_token_seconds,
            "jti": uuid4().hex,
            "kind": principal.kind,
            "roles": sorted(principal.roles),
        }
        if session is not None:
            claims["sid"] = session
        return jwt.encode(claims, secret, algorithm=ALGORITHM, headers={"kid": key_id})

    def verify(self, token: str) -> AccessToken | None:
        """What a token says; None unless this service signed it for itself and it is still good."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            secret = self._keys.get(key_id) if isinstance(key_id, str) else None
            if secret is None:
                return None
            claims = jwt.decode(
                token,
                secret,
                algorithms=[ALGORITHM],
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                options={"require": list(_REQUIRED), "strict_aud": True},
            )
            return _read(claims)
        except (PyJWTError, KeyError, TypeError, ValueError):
            return None


def _read(claims: dict[str, Any]) -> AccessToken:
    if claims["kind"] not in ("user", "key"):
        raise ValueError("no kind that is issued")
    roles = frozenset(map(Role, claims["roles"]))
    principal = Principal(claims["kind"], claims["sub"], roles)
    return AccessToken(principal, float(claims["exp"]), claims.get("sid"))
