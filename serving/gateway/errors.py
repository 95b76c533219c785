"""Every error as a problem document (RFC 9457), and the one table of their HTTP statuses."""

from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from pipelines.errors import (
    AccountError,
    BookNotFoundError,
    BookrecError,
    BrowsingEndedError,
    BrowsingUnavailableError,
    CacheUnavailableError,
    ConfigurationError,
    CursorError,
    CursorExpiredError,
    FeatureOffError,
    FeedbackError,
    GrantError,
    NoModelError,
    NoSearchError,
    RegistryError,
    ReleaseError,
    RepeatedKeyError,
    StorageError,
    UnknownPartError,
    UnknownReaderError,
    UnknownVersionError,
    UnknownWebhookError,
    WebhookError,
)
from serving.gateway.schemas import Problem

MAX_ERRORS = 20
"""Of one request; who sends a thousand wrong ids need not read of each."""
MAX_CHARACTERS = 200

MEDIA_TYPE = "application/problem+json"


class Shown(NamedTuple):
    """How an error looks from outside; `detail` replaces a message that is not for readers."""

    status: HTTPStatus
    slug: str
    title: str
    retry_after: int | None = None
    detail: str | None = None


_OF_TOKENS = frozenset({"invalid_token", "invalid_request"})
_BAD_REQUESTS = frozenset({"invalid_grant", "unsupported_grant_type"})
"""OAuth 2 (RFC 6749, 5.2) answers these with 400."""

TABLE: dict[type[BookrecError], Shown] = {
    UnknownPartError: Shown(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown-part", "Unknown model part"),
    CursorError: Shown(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-cursor", "Invalid cursor"),
    CursorExpiredError: Shown(HTTPStatus.GONE, "cursor-expired", "Cursor expired"),
    NoSearchError: Shown(HTTPStatus.SERVICE_UNAVAILABLE, "no-search", "No search in this model"),
    BookNotFoundError: Shown(HTTPStatus.NOT_FOUND, "book-not-found", "Book not found"),
    FeatureOffError: Shown(HTTPStatus.CONFLICT, "feature-off", "Feature switched off"),
    NoModelError: Shown(
        HTTPStatus.SERVICE_UNAVAILABLE, "no-model", "No model in service", retry_after=10
    ),
    UnknownReaderError: Shown(HTTPStatus.NOT_FOUND, "reader-not-found", "Reader not found"),
    RepeatedKeyError: Shown(
        HTTPStatus.UNPROCESSABLE_ENTITY, "repeated-key", "Idempotency key used before"
    ),
    FeedbackError: Shown(HTTPStatus.UNPROCESSABLE_ENTITY, "no-such-feedback", "Cannot be"),
    CacheUnavailableError: Shown(
        HTTPStatus.SERVICE_UNAVAILABLE, "no-cache", "Cache unavailable", retry_after=5
    ),
    BrowsingUnavailableError: Shown(
        HTTPStatus.SERVICE_UNAVAILABLE, "no-sessions", "Sessions unavailable", retry_after=5
    ),
    BrowsingEndedError: Shown(HTTPStatus.NOT_FOUND, "no-session", "Session ended"),
    StorageError: Shown(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "no-accounts",
        "Accounts unavailable",
        retry_after=5,
        detail="accounts and keys are out of reach: tokens that were given before still work",
    ),
    UnknownWebhookError: Shown(HTTPStatus.NOT_FOUND, "unknown-webhook", "Unknown webhook"),
    WebhookError: Shown(HTTPStatus.UNPROCESSABLE_ENTITY, "webhook-refused", "Webhook refused"),
    ReleaseError: Shown(HTTPStatus.CONFLICT, "not-released", "Cannot become champion"),
    UnknownVersionError: Shown(HTTPStatus.NOT_FOUND, "unknown-version", "Unknown version"),
    RegistryError: Shown(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "no-registry",
        "Registry unavailable",
        retry_after=5,
        detail="the registry is out of reach: the model in service goes on answering",
    ),
    AccountError: Shown(HTTPStatus.CONFLICT, "account", "Account cannot be changed so"),
    ConfigurationError: Shown(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "Invalid request"
    ),
    BookrecError: Shown(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error",
        detail="the request could not be answered: the log says why, under this request_id",
    ),
}


def problem(
    request_id: str | None,
    status: int,
    detail: str,
    *,
    kind: str = "about:blank",
    title: str | None = None,
    headers: dict[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
    error: str | None = None,
) -> Response:
    """One problem document."""
    document = Problem(
        type=kind,
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=request_id,
        errors=errors,
        error=error,
    )
    return JSONResponse(
        document.model_dump(exclude_none=True),
        status_code=status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def shown(error: BookrecError, request_id: str | None) -> Response:
    """The problem document of an error of our own."""
    if isinstance(error, GrantError):
        return _refused(request_id, error)
    if isinstance(error, AccountError) and not error.known:
        return problem(request_id, HTTPStatus.NOT_FOUND, str(error))
    found = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    return _shown(found, request_id, str(error))


def internal_problem(request_id: str | None) -> Response:
    """For a defect: nothing of it leaves the service."""
    return _shown(TABLE[BookrecError], request_id, "")


def _refused(request_id: str | None, refused: GrantError) -> Response:
    """For credentials that open nothing."""
    status = 400 if refused.code in _BAD_REQUESTS else 401
    challenge = f'Bearer error="{refused.code}"' if refused.code in _OF_TOKENS else "Bearer"
    return problem(
        request_id,
        status,
        str(refused),
        kind=f"urn:bookrec:problem:{refused.code.replace('_', '-')}",
        title="Credentials refused",
        headers={"WWW-Authenticate": challenge} if status == 401 else None,
        error=refused.code,
    )


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    return {status: _described(status) for status in statuses}


def _described(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {MEDIA_TYPE: {"schema": schema, "examples": _examples(status)}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _examples(status: int) -> dict[str, Any]:
    """One of each kind that has this status."""
    kinds = {shown.slug: shown for shown in TABLE.values() if shown.status == status}
    named = {
        slug: {"type": f"urn:bookrec:problem:{slug}", "title": shown.title}
        for slug, shown in kinds.items()
    } or {"problem": {"type": "about:blank", "title": HTTPStatus(status).phrase}}
    return {
        slug: {"value": {**told, "status": status, "detail": "What is wrong, in one line."}}
        for slug, told in named.items()
    }


def install(app: FastAPI) -> None:
    """Let `app` answer every error with a problem document."""
    app.add_exception_handler(BookrecError, _own)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _own(request: Request, error: Exception) -> Response:
    assert isinstance(error, BookrecError)  # noqa: S101 - what it is registered for
    return shown(error, _request_id(request))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    headers = dict(error.headers or {})
    return problem(_request_id(request), error.status_code, error.detail, headers=headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    errors = [
        {"where": _plain(".".join(str(part) for part in e["loc"])), "wrong": _plain(e["msg"])}
        for e in error.errors()[:MAX_ERRORS]
    ]
    return problem(
        _request_id(request),
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "; ".join(f"{e['where']}: {e['wrong']}" for e in errors),
        kind="urn:bookrec:problem:invalid-request",
        title="Invalid request",
        errors=errors,
    )


def _plain(text: str) -> str:
    """Names of fields are the caller's: of any length, and with halves of characters in them."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode()


def _shown(shown: Shown, request_id: str | None, message: str) -> Response:
    return problem(
        request_id,
        shown.status,
        shown.detail or message,
        kind=f"urn:bookrec:problem:{shown.slug}",
        title=shown.title,
        headers={"Retry-After": str(shown.retry_after)} if shown.retry_after else None,
    )


def _request_id(request: Request) -> str | None:
    return getattr(request.state, "request_id", None)
