"""Who asks."""

from dataclasses import dataclass
from typing import Literal

from pipelines.credentials.roles import Role


@dataclass(frozen=True)
class Principal:
    """
    Whoever sent a request, once it is known.

    `subject` is the name of an account, the id of a key, or the address of somebody unknown. A
    reader's account has the reader's id for its name.
    """

    kind: Literal["anonymous", "local", "user", "key", "operator"]
    subject: str
    roles: frozenset[Role] = frozenset()

    @property
    def is_known(self) -> bool:
        """Whether it proved who it is."""
        return self.kind not in ("anonymous", "local")

    @property
    def actor(self) -> str:
        """How it stands in the audit log."""
        return f"{self.kind}:{self.subject}"


OPERATOR = Principal("operator", "admin-token", frozenset({Role.ADMIN}))
"""The holder of BOOKREC_API__ADMIN_TOKEN: the pipeline."""
