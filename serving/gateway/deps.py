"""What routes ask for in their signatures."""

from collections.abc import Iterable
from functools import partial
from typing import Annotated

from fastapi import Depends, HTTPException, Path, Request

from pipelines.models.reranking import UNCHANGED, Reranking
from pipelines.storage.audit import Act, Acting
from serving.bootstrap import Components
from serving.gateway.edge import ENCODED_SLASH
from serving.security.principal import Principal
from serving.security.roles import ADMINS, ROUTES, may, may_speak_for

_ID_NOTE = "Percent-encode it; a slash within it is `%2F`."
_RawId = Annotated[str, Path(max_length=256, description=_ID_NOTE, examples=["1302"])]


# All are coroutines: FastAPI runs plain functions in a thread, at three times the price.
async def _components(request: Request) -> Components:
    components: Components = request.app.state.components
    return components


async def _user_id(user_id: _RawId) -> str:
    return user_id.replace(ENCODED_SLASH, "/")


async def _book_id(book_id: _RawId) -> str:
    return book_id.replace(ENCODED_SLASH, "/")


async def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


async def _account_name(name: _RawId) -> str:
    return name.replace(ENCODED_SLASH, "/")


Parts = Annotated[Components, Depends(_components)]
UserId = Annotated[str, Depends(_user_id)]
BookId = Annotated[str, Depends(_book_id)]
Caller = Annotated[Principal, Depends(_principal)]
AccountName = Annotated[str, Depends(_account_name)]


async def _acting(request: Request, caller: Caller) -> Acting:
    return partial(Act, caller.actor, request_id=request.state.request_id)


ActOf = Annotated[Acting, Depends(_acting)]
"""What the caller did, from its name and its target."""


def allowed(parts: Components, wishes: Reranking) -> Reranking:
    """
    Wishes beyond taste, if they may be had.

    Raises:
        FeatureOffError: there are some, and reranking is switched off.
    """
    if wishes != UNCHANGED:
        parts.flags.require("reranking")
    return wishes


async def authorize(request: Request) -> None:
    """Let only those pass whom the table of roles lets call this route."""
    route = f"{request.method} {request.scope['route'].path}"
    rule = ROUTES.get(route)
    if rule is not None and rule.anyone:
        return
    principal: Principal = request.state.principal
    user_id = request.path_params.get("user_id", "").replace(ENCODED_SLASH, "/")
    if may(principal, route, user_id):
        return
    if not principal.is_known:
        raise HTTPException(
            401,
            "credentials are needed: Authorization: Bearer …, or X-API-Key",
            {"WWW-Authenticate": "Bearer"},
        )
    if rule is ADMINS:
        act = Act(principal.actor, "admin", route, request.state.request_id)
        await request.app.state.components.security.accounts.note(act, "denied")
    roles = ", ".join(sorted(principal.roles)) or "none"
    raise HTTPException(403, f"the roles you have do not allow this: {roles}")


def speak_for(caller: Principal, user_ids: Iterable[str]) -> None:
    """Let only those pass who may speak for all these readers."""
    if all(may_speak_for(caller, user_id) for user_id in user_ids):
        return
    if not caller.roles:
        raise HTTPException(
            401, "who asks for a reader has to say who it is", {"WWW-Authenticate": "Bearer"}
        )
    raise HTTPException(403, "a reader may speak for themselves alone")
