"""What is asked and answered about accounts, keys and tokens."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from pipelines.credentials.api_keys import ApiKey
from pipelines.credentials.roles import Role
from pipelines.storage.accounts import Key, User

Roles = Annotated[frozenset[Role], Field(min_length=1, examples=[["reader"]])]
Name = Annotated[str, Field(min_length=1, max_length=256, examples=["ann"])]
Password = Annotated[SecretStr, Field(max_length=256, examples=["correct horse battery"])]
KeyId = Annotated[str, Field(examples=["k7Qm2x"])]
Moment = Annotated[datetime, Field(examples=["2026-03-01T18:30:00Z"])]
Flag = Annotated[bool, Field(examples=[False])]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TokenAnswer(BaseModel):
    """After RFC 6749, 5.1."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIs…"])
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - OAuth 2's word
    expires_in: int = Field(description="Seconds.", examples=[900])
    refresh_token: str | None = Field(
        None,
        examples=["pY0…"],
        description="Good once; null where sessions are out of reach, and for programs.",
    )
    scope: str = Field(description="The roles.", examples=["reader"])


class Me(BaseModel):
    """As whom a request was taken."""

    kind: Literal["anonymous", "local", "user", "key", "operator"]
    name: str = Field(examples=["ann"])
    roles: list[Role]


class Allowed(BaseModel):
    """What a caller may still ask."""

    model_config = ConfigDict(from_attributes=True)

    policy: str = Field(examples=["user"])
    limit: int = Field(examples=[600])
    window_seconds: int = Field(examples=[60])
    remaining: int = Field(examples=[598])
    reset_seconds: int = Field(description="Until there is more again.", examples=[3])


class NewAccount(_Asked):
    """An account to make; a reader's name is their id."""

    name: Name
    password: Password
    roles: Roles


class AccountChange(_Asked):
    """What to change of an account; what is left out stays."""

    password: Password | None = Field(None, examples=["correct horse battery"])
    roles: Roles | None = Field(None, examples=[["curator"]])
    disabled: bool | None = Field(None, examples=[True])


class Account(BaseModel):
    """Somebody who logs in with a password."""

    name: Name
    roles: list[Role]
    created_at: Moment
    disabled: Flag

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(
            name=user.name,
            roles=sorted(user.roles),
            created_at=user.created_at,
            disabled=user.disabled,
        )


class NewKey(_Asked):
    """A key to make."""

    name: Annotated[str, Field(min_length=1, max_length=256, examples=["shop backend"])]
    roles: Roles
    days: int | None = Field(
        None, ge=1, le=3650, description="Until it is over; null: never.", examples=[90]
    )


class KeyReport(BaseModel):
    """What is kept of a key."""

    key_id: KeyId
    name: Name
    roles: list[Role]
    created_at: Moment
    expires_at: datetime | None = Field(examples=["2026-06-01T00:00:00Z"])
    revoked: Flag

    @classmethod
    def of(cls, key: Key) -> Self:
        return cls(**{**{f: getattr(key, f) for f in cls.model_fields}, "roles": sorted(key.roles)})


class ShownKey(BaseModel):
    """A new key, which is shown this once."""

    key_id: KeyId = Field(description="Also OAuth 2's client id.")
    client_secret: str = Field(examples=["3vL…"])
    api_key: str = Field(
        description="For X-API-Key, or as a Bearer token.", examples=["k7Qm2x.3vL…"]
    )

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        return cls(key_id=key.key_id, client_secret=key.secret, api_key=key.text)


class AuditEntryReport(BaseModel):
    """Who did what, on what."""

    model_config = ConfigDict(from_attributes=True)

    at: Moment
    actor: str = Field(examples=["user:admin"])
    action: str = Field(examples=["user.add"])
    target: str = Field(examples=["user:ann"])
    request_id: str | None = Field(examples=["b0f3…"])
    outcome: Literal["done", "failed", "denied"]
