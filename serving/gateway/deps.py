"""What routes ask for in their signatures."""

import secrets
from typing import Annotated

from fastapi import Depends, HTTPException, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serving.bootstrap import Components
from serving.gateway.edge import ENCODED_SLASH

_bearer = HTTPBearer(auto_error=False, description="The token in BOOKREC_API__ADMIN_TOKEN.")

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


Parts = Annotated[Components, Depends(_components)]
UserId = Annotated[str, Depends(_user_id)]
BookId = Annotated[str, Depends(_book_id)]


async def require_admin(
    parts: Parts, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Let only the holder of the admin token pass: 401 without a token, 403 with a wrong one."""
    if parts.admin_token is None:
        raise HTTPException(403, "administration is off: set BOOKREC_API__ADMIN_TOKEN")
    if given is None:
        raise HTTPException(
            401, "an admin token is needed: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"}
        )
    wanted = parts.admin_token.get_secret_value().encode()
    if not secrets.compare_digest(given.credentials.encode(), wanted):
        raise HTTPException(403, "this is not the admin token")
