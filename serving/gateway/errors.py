"""Every error as a problem document (RFC 9457), and the one table of their HTTP statuses."""

from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from pipelines.errors import (
    BookNotFoundError,
    BookrecError,
    CacheUnavailableError,
    FeatureOffError,
    NoModelError,
)
from serving.gateway.schemas import Problem

MEDIA_TYPE = "application/problem+json"


class Shown(NamedTuple):
    """How an error looks from outside; `detail` replaces a message that is not for readers."""

    status: HTTPStatus
    slug: str
    title: str
    retry_after: int | None = None
    detail: str | None = None


TABLE: dict[type[BookrecError], Shown] = {
    BookNotFoundError: Shown(HTTPStatus.NOT_FOUND, "book-not-found", "Book not found"),
    FeatureOffError: Shown(HTTPStatus.CONFLICT, "feature-off", "Feature switched off"),
    NoModelError: Shown(
        HTTPStatus.SERVICE_UNAVAILABLE, "no-model", "No model in service", retry_after=10
    ),
    CacheUnavailableError: Shown(
        HTTPStatus.SERVICE_UNAVAILABLE, "no-cache", "Cache unavailable", retry_after=5
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
) -> Response:
    """One problem document."""
    document = Problem(
        type=kind,
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=request_id,
        errors=errors,
    )
    return JSONResponse(
        document.model_dump(exclude_none=True),
        status_code=status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def internal_problem(request_id: str | None) -> Response:
    """For a defect: nothing of it leaves the service."""
    return _shown(TABLE[BookrecError], request_id, "")


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {s: {"description": HTTPStatus(s).phrase, "content": content} for s in statuses}


def install(app: FastAPI) -> None:
    """Let `app` answer every error with a problem document."""
    app.add_exception_handler(BookrecError, _own)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _own(request: Request, error: Exception) -> Response:
    shown = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    return _shown(shown, _request_id(request), str(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    headers = dict(error.headers or {})
    return problem(_request_id(request), error.status_code, error.detail, headers=headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    errors = [
        {"where": ".".join(str(part) for part in e["loc"]), "wrong": e["msg"]}
        for e in error.errors()
    ]
    return problem(
        _request_id(request),
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "; ".join(f"{e['where']}: {e['wrong']}" for e in errors),
        kind="urn:bookrec:problem:invalid-request",
        title="Invalid request",
        errors=errors,
    )


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
