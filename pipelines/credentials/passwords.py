"""Passwords: what is kept of them, and which are too weak."""

import re
import secrets
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from pipelines.errors import ConfigurationError

MINIMUM_LENGTH = 12
MAXIMUM_LENGTH = 256
"""Longer ones would only cost time to hash."""

# No word is made of others: the ways to read a text must not multiply.
_COMMON = re.compile(
    "(?:"
    "abc|abcdef|admin|administrator|bookrec|books|changeit|"
    "changeme|default|dragon|guest|iloveyou|letmein|library|login|master|"
    "monkey|pass|passw|password|passwort|qazwsx|qwerty|qwertyuiop|root|"
    "secret|service|sunshine|superuser|test|trustno|user|welcome|zaq"
    ")*"
)
"""What is left of the most used passwords without their digits and signs, once or several times."""

_LOOKALIKES = str.maketrans("@$0134!57", "asolea!st")
# 19 MiB, two passes, one lane: the least that OWASP's password storage cheat sheet accepts, 20 ms.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_password(password: str) -> str:
    """An argon2id hash with its salt and parameters; takes about 20 ms and 19 MiB."""
    return _HASHER.hash(password)


def is_password(password: str, hashed: str | None) -> bool:
    """Whether `password` made `hashed`; takes as long where there is no hash to compare with."""
    try:
        _HASHER.verify(hashed or _nobodys_hash(), password)
    except (Argon2Error, InvalidHashError):
        return False
    return hashed is not None


def refuse_weak(password: str, *, what: str = "the password") -> None:
    """
    Raises:
        ConfigurationError: it is too short, too long, a common word, or few signs again and again.
    """
    if len(password) < MINIMUM_LENGTH:
        raise ConfigurationError(f"{what} needs {MINIMUM_LENGTH} characters or more")
    if len(password) > MAXIMUM_LENGTH:
        raise ConfigurationError(f"{what} must not exceed {MAXIMUM_LENGTH} characters")
    if len(set(password)) < 5 or _is_common(password.lower()):
        raise ConfigurationError(f"{what} is too easily guessed: take several uncommon words")


def _is_common(password: str) -> bool:
    spellings = (password, password.translate(_LOOKALIKES))
    return any(_COMMON.fullmatch("".join(re.findall("[a-z]", text))) for text in spellings)


@lru_cache
def _nobodys_hash() -> str:
    return hash_password(secrets.token_urlsafe())
