"""Settings of the service, in groups."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class ApiSettings(BaseModel):
    """Where the serving process listens."""

    host: str = "127.0.0.1"
    """Loopback unless told otherwise."""
    port: int = Field(8080, ge=1, le=65535)
    base_url: str | None = None
    """Where callers find the service; host and port of this machine if unset."""
    workers: int = Field(1, ge=1)
    admin_token: SecretStr | None = None
    """Lets the pipeline ask the service to warm its cache; generated per home if unset."""
    poll_seconds: float = Field(5.0, gt=0)
    """How often a worker asks the registry whether there is a new champion."""
    access_log_share: float = Field(1.0, ge=0, le=1)
    """Of ordinary requests, the share that is logged; errors and slow ones always are."""

    @property
    def url(self) -> str:
        """The base address for callers."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104 - compared, not bound
        return (self.base_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def admin_headers(self) -> dict[str, str]:
        """What the pipeline proves itself with to the service."""
        if self.admin_token is None:
            return {}
        return {"Authorization": f"Bearer {self.admin_token.get_secret_value()}"}


Rate = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}/(second|minute|hour|day)$")]
"""How many in which time: `600/minute`."""


class RateLimitSettings(BaseModel):
    """Requests in a sliding window, by who asks."""

    local: Rate = "1000000/minute"
    """Without credentials, from this machine, in development."""
    anonymous: Rate = "120/minute"
    """Without credentials, by address."""
    user: Rate = "600/minute"
    """By account."""
    key: Rate = "60000/minute"
    """By API key, client or admin token."""
    login: Rate = "10/minute"
    """Attempts to prove who one is, by address and by name."""


class SecuritySettings(BaseModel):
    """Who may ask, how often and how much."""

    signing_keys: dict[str, SecretStr] = {}
    """
    Secrets of 32 characters or more that sign tokens, by key id: `{"2026-11": "..."}`.

    The first signs, all verify, so a new one goes in front. In development made once per home.
    """
    issuer: str = "bookrec"
    audience: str = "bookrec-api"
    """What tokens are for; a token for something else opens nothing."""
    access_token_seconds: int = Field(900, ge=10, le=86_400)
    refresh_token_seconds: int = Field(14 * 86_400, ge=60)
    """From the login on, however often the token was exchanged since."""
    first_admin_name: str = "admin"
    first_admin_password: SecretStr | None = None
    """With it an admin is made where there is none yet."""
    open_to_anyone: bool = False
    """Whether callers without credentials may what services may; refused outside development."""
    rate_limits: RateLimitSettings = RateLimitSettings()
    max_body_bytes: int = Field(1_048_576, ge=1024)
    body_seconds: float = Field(5.0, gt=0, lt=8)
    """Until a request's body is there."""
    cors_origins: tuple[str, ...] = ()
    """Pages of these origins may call from a browser: `["https://shop.example"]`."""
    trusted_hosts: tuple[str, ...] = ()
    """Names this service is called by, `*.example.org` for any below; any at all if empty."""

    @field_validator("signing_keys")
    @classmethod
    def _are_long(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for key_id, secret in value.items():
            if len(secret.get_secret_value().encode()) < 32:
                raise ValueError(f"the secret of {key_id!r} needs 32 characters or more")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value:
            raise ValueError("name each origin: `*` would let any page in")
        return value


class AbTestSettings(BaseModel):
    """A second model beside the champion, for a share of the readers."""

    alias: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")
    """Who is on trial: an alias in the registry, such as `challenger`; nobody if unset."""
    share: float = Field(0.1, ge=0, le=1)
    """Of the readers, always the same ones; a larger share keeps those of a smaller one."""
    shadow: bool = False
    """Whether its lists are only compared with the champion's, in the background."""
    salt: str = ""
    """Another one draws other readers."""


class CacheSettings(BaseModel):
    """How recommendation lists are kept in Redis."""

    ttl_seconds: int = Field(86_400, ge=1)
    list_length: int = Field(50, ge=1, le=1000)
    """Lists are cached at this length; a longer one is computed."""
    timeout_seconds: float = Field(0.05, gt=0)
    """For reads on the request path; a slower Redis counts as absent."""
    local_bytes: int = Field(64 * 2**20, ge=0)
    """What each worker remembers of its answers; 0 for nothing."""
    local_seconds: float = Field(10, gt=0)
    """How long it does: so long another machine may answer without the newest feedback."""
    recent_seconds: int = Field(30 * 86_400, ge=1)
    """How long feedback counts before a training has seen it."""


class BrowsingSettings(BaseModel):
    """What is remembered of visitors without an account."""

    seconds: int = Field(7_200, ge=1)
    """A session ends so long after it was used last."""
    books: int = Field(100, ge=1, le=1000)
    """So many, what was looked at last."""


class WatchSettings(BaseModel):
    """When the service takes a promotion back by itself."""

    seconds: float = Field(600, ge=0)
    """For so long after a promotion; 0 for never."""
    maximum_error_rate: float = Field(0.05, gt=0, le=1)
    """Of what a worker asks the new champion; beyond it the one before comes back."""
    minimum_requests: int = Field(100, ge=1)
    """Fewer say nothing."""


class FlagSettings(BaseModel):
    """Features that can be switched off; what is left alone is as `flags_file` says, else on."""

    model_config = ConfigDict(extra="forbid")

    reranking: bool | None = None
    explanations: bool | None = None
    ab_test: bool | None = None
