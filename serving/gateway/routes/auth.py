"""How callers come to a token, and what is known of them."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response, status

from pipelines.errors import GrantError
from serving.bootstrap import Components
from serving.gateway.account_schemas import Allowed, Me, TokenAnswer
from serving.gateway.deps import Caller, Parts
from serving.gateway.errors import described, problem
from serving.security.components import policy_of
from serving.security.grants import Granted
from serving.security.limits import Allowance

router = APIRouter(tags=["auth"])

_Text = Annotated[str, Form(max_length=256)]
GRANTS = "password, client_credentials, refresh_token"


@router.post(
    "/auth/token",
    summary="A token",
    response_model=TokenAnswer,
    responses=described(400, 422, 503),
)
async def token(
    request: Request,
    response: Response,
    parts: Parts,
    grant_type: Annotated[str, Form(max_length=256, examples=["password"])],
    username: _Text = "",
    password: Annotated[str, Form(max_length=256, json_schema_extra={"format": "password"})] = "",
    client_id: _Text = "",
    client_secret: _Text = "",
    refresh_token: _Text = "",
) -> TokenAnswer | Response:
    """
    OAuth 2: a `password` and `username`; `client_credentials`, the two parts of an API key
    (`bk_<client id>_<client secret>`); or a `refresh_token`, each of which is good once.
    """
    security = parts.security
    if grant_type != "refresh_token":
        attempt = await security.count_login(request.scope, username or client_id)
        response.headers.update(attempt.headers())
        if not attempt.allowed:
            return _too_many(request, attempt)
    match grant_type:
        case "password":
            granted = await security.grants.password(username, password)
        case "client_credentials":
            granted = await security.grants.client_credentials(client_id, client_secret)
        case "refresh_token":
            granted = await security.grants.refresh(refresh_token)
        case _:
            raise GrantError("unsupported_grant_type", f"grant_type is one of {GRANTS}")
    return _answer(granted, parts)


@router.post(
    "/auth/logout",
    summary="End a session",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=described(422, 503),
)
async def logout(
    parts: Parts, refresh_token: Annotated[str, Form(max_length=256, examples=["pY0…"])]
) -> None:
    """End the session that a refresh token belongs to; its access tokens end within a minute."""
    await parts.security.grants.end(refresh_token)


@router.get("/auth/me", summary="Who I am")
async def me(caller: Caller) -> Me:
    """As whom this request was taken."""
    return Me(kind=caller.kind, name=caller.subject, roles=sorted(caller.roles))


@router.get("/ratelimit/info", summary="How much I may ask")
async def ratelimit(parts: Parts, caller: Caller) -> Allowed:
    """The limit that holds for this caller, and what is left of it."""
    policy = policy_of(caller)
    return Allowed.model_validate(await parts.security.limiter.state(policy, caller.subject))


def _answer(granted: Granted, parts: Components) -> TokenAnswer:
    return TokenAnswer(
        access_token=granted.access_token,
        expires_in=parts.security.settings.access_token_seconds,
        refresh_token=granted.refresh_token,
        scope=" ".join(sorted(granted.principal.roles)),
    )


def _too_many(request: Request, attempt: Allowance) -> Response:
    detail = f"too many attempts: {attempt.limit} in {attempt.window_seconds} s are allowed"
    return problem(request.state.request_id, 429, detail, headers=attempt.headers())
