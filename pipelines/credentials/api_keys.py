"""
API keys: shown once, kept as a hash.

A key is `bk_<id>_<secret>`. The id finds its row and may be told; of the secret only SHA-256 is
kept, which is enough for 256 random bits and, unlike argon2, costs nothing on every request. The
two parts are also the client id and the client secret of OAuth 2.
"""

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

_KEY = re.compile(r"bk_([0-9a-f]{12})_([A-Za-z0-9-]{43})")


class ApiKey(NamedTuple):
    """A key as its holder has it."""

    key_id: str
    secret: str

    @classmethod
    def new(cls) -> "ApiKey":
        """A key that nobody has yet."""
        secret = secrets.token_urlsafe(32).replace("_", "-")
        return cls(secrets.token_hex(6), secret)

    @classmethod
    def parse(cls, text: str) -> "ApiKey | None":
        """The key that `text` spells; None if it spells none."""
        found = _KEY.fullmatch(text)
        return None if found is None else cls(*found.groups())

    @property
    def text(self) -> str:
        """How it is written down."""
        return f"bk_{self.key_id}_{self.secret}"

    @property
    def hash(self) -> str:
        """What is kept of it."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def is_of(self, hashed: str) -> bool:
        """Whether this key made that hash; takes as long for any other."""
        return hmac.compare_digest(self.hash, hashed)
