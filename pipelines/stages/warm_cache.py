"""Ask the service to fill its cache for the model that has just become champion."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import structlog

from pipelines.errors import ServiceUnavailableError
from pipelines.service_settings import ApiSettings
from pipelines.stages.run_context import RunContext, Summary

log = structlog.get_logger()

WARM_URL = "/api/v1/admin/cache/warm"
LOADING_SECONDS = 60
"""How long a service may take to open a new champion, fetched from afar."""


def run(ctx: RunContext) -> Summary:
    """Wait until the cache is warm; a refused challenger leaves it as it is."""
    promoted = ctx.summary("promote")
    with ctx.stage("warm_cache", inputs=["promote"]) as draft:
        if promoted["promoted"]:
            draft.summary |= warm_champion(ctx.settings.api, version=promoted["version"])
        else:
            draft.summary |= {"warmed": 0, "skipped": "the champion stays as it is"}
    return draft.summary


def warm_champion(api: ApiSettings, *, version: int | None = None) -> Summary:
    """
    Warm the cache of a running service; without one there is nothing to warm, and it says so.

    Raises:
        ServiceUnavailableError: the service failed, or does not answer where settings say it is.
    """
    try:
        return warm(api, version)
    except httpx.TransportError as error:
        if api.base_url is None and isinstance(error, httpx.ConnectError):
            log.info("cache_not_warmed", reason="no service is running", url=api.url)
            return {"warmed": 0, "skipped": f"no service is running at {api.url}"}
        raise ServiceUnavailableError(f"{api.url} does not answer: {error!r}") from error


def warm(api: ApiSettings, version: int | None, *, timeout_seconds: float = 600) -> Summary:
    """
    Start the warming of the champion and follow it to its end.

    Args:
        api: Where the service is.
        version: What the champion must be; None where any will do.
        timeout_seconds: How long to wait for the end.

    Raises:
        httpx.ConnectError: nothing listens there.
        ServiceUnavailableError: refused, failed, too slow, or warming another version.
    """
    deadline = time.monotonic() + timeout_seconds
    with httpx.Client(base_url=api.url, headers=api.admin_headers, timeout=30) as client:
        state = _state(client.post)
        while not state["finished"]:
            if time.monotonic() > deadline:
                raise ServiceUnavailableError(f"the cache is still cold after {timeout_seconds} s")
            time.sleep(0.2)
            state = _state(client.get)
    if state["outcome"] == "superseded":
        log.info("cache_not_warmed", reason="a newer champion came", version=state["version"])
        return {
            "warmed": state["done"],
            "skipped": "a newer champion came, which is warmed instead",
        }
    _check_end(state, version)
    return {
        "version": state["version"],
        "warmed": state["done"],
        "readers": state["total"],
        "seconds": state["seconds"],
    }


def _state(request: Callable[[str], httpx.Response]) -> dict[str, Any]:
    """The service's answer; one that is still loading the champion is asked again."""
    patience = time.monotonic() + LOADING_SECONDS
    response = request(WARM_URL)
    while response.status_code == 503 and time.monotonic() < patience:
        time.sleep(1)
        response = request(WARM_URL)
    if response.is_error:
        raise ServiceUnavailableError(
            f"the service answered {response.status_code} to a warm-up: {response.text[:200]}"
        )
    state: dict[str, Any] = response.json()
    return state


def _check_end(state: dict[str, Any], version: int | None) -> None:
    if state["outcome"] != "complete":
        raise ServiceUnavailableError(
            f"the warm-up of version {state['version']} ended as {state['outcome']}: "
            "see the service's log"
        )
    if version not in (None, state["version"]):
        raise ServiceUnavailableError(
            f"the service warmed version {state['version']}, not {version}: "
            "does it use the same registry?"
        )
