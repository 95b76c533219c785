"""
What is asked most: a reader's list, of some length, and nothing else.

To read such a question as any other takes FastAPI longer than to answer it. Whatever wishes more,
or is not allowed, goes on to the route, which is the same in all else.

Pure ASGI, within the guard.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.errors import BookrecError
from serving.bootstrap import Components
from serving.gateway.edge import ENCODED_SLASH
from serving.gateway.errors import shown
from serving.gateway.remembering import Route, send_document
from serving.gateway.requests import MAX_LENGTH, Paged
from serving.gateway.schemas import ReadersList
from serving.recommending.paging import Page
from serving.security.roles import may

ROUTE = "/api/v1/users/{user_id}/recommendations"
_PATH = re.compile(r"/api/v1/users/([^/]{1,256})/recommendations")
_QUERY = re.compile(rb"(?:n=([1-9][0-9]{0,2}))?")
_DEFAULT = Paged().n


class PlainLists:
    """Answers readers' plain questions, and leaves everything else to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = (
            plain_question(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        )
        if asked is None or not may(scope["state"]["principal"], f"GET {ROUTE}", asked[0]):
            await self._app(scope, receive, send)
            return
        user_id, n = asked
        scope["route"] = Route(ROUTE)
        parts: Components = scope["app"].state.components
        try:
            answer = await parts.recommendations.recommend(user_id, Page(n))
        except BookrecError as error:
            await shown(error, scope["state"]["request_id"])(scope, receive, send)
            return
        await send_document(ReadersList.json_of(answer), send)


def plain_question(scope: Scope) -> tuple[str, int] | None:
    """For whom, and how many; None where more than that is asked, or something is wrong."""
    path, query = _PATH.fullmatch(scope["path"]), _QUERY.fullmatch(scope["query_string"])
    if path is None or query is None:
        return None
    n = int(query[1] or _DEFAULT)
    return (path[1].replace(ENCODED_SLASH, "/"), n) if n <= MAX_LENGTH else None
