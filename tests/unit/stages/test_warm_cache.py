"""The pipeline's side of warming, against a small server that answers as told."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from pipelines.errors import ServiceUnavailableError
from pipelines.service_settings import ApiSettings
from pipelines.stack import free_port
from pipelines.stages import warm_cache

State = dict[str, object]
Told = Callable[..., ApiSettings]


def state(outcome: str, version: int = 3) -> tuple[int, State]:
    finished = outcome != "running"
    return 200, {
        "version": version, "total": 9, "done": 9 if finished else 2,
        "outcome": outcome, "finished": finished, "seconds": 1.5,
    }  # fmt: skip


@pytest.fixture
def service() -> Iterator[Told]:
    """Answers each request with the next of the given ones, the last one for ever."""
    answers: list[tuple[int, State]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            known = self.headers["Authorization"] == "Bearer token"
            code, body = (
                (answers.pop(0) if len(answers) > 1 else answers[0]) if known else (403, {})
            )
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_GET = do_POST  # noqa: N815 - the library names it

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def told(*given: tuple[int, State]) -> ApiSettings:
        answers[:] = given
        return ApiSettings(port=server.server_port, admin_token=SecretStr("token"))

    yield told
    server.shutdown()
    server.server_close()


def test_a_warm_up_is_followed_to_its_end(service: Told):
    api = service(state("running"), state("running"), state("complete"))
    told = warm_cache.warm_champion(api, version=3)
    assert told == {"version": 3, "warmed": 9, "readers": 9, "seconds": 1.5}


def test_a_service_that_is_still_loading_is_asked_again(service: Told, monkeypatch):
    monkeypatch.setattr(warm_cache.time, "sleep", lambda _: None)
    api = service((503, {}), (503, {}), state("complete"))
    assert warm_cache.warm_champion(api, version=3)["warmed"] == 9


def test_a_warm_up_that_failed_is_an_error(service: Told):
    with pytest.raises(ServiceUnavailableError, match="ended as failed"):
        warm_cache.warm_champion(service(state("failed")))


def test_a_newer_champion_ends_the_warm_up_without_an_error(service: Told):
    told = warm_cache.warm_champion(service(state("superseded")), version=3)
    assert "newer champion" in told["skipped"]


def test_another_version_than_the_promoted_one_is_an_error(service: Told):
    with pytest.raises(ServiceUnavailableError, match="warmed version 4, not 3"):
        warm_cache.warm_champion(service(state("complete", version=4)), version=3)


def test_a_refused_token_is_an_error(service: Told):
    api = service(state("complete")).model_copy(update={"admin_token": SecretStr("wrong")})
    with pytest.raises(ServiceUnavailableError, match="answered 403"):
        warm_cache.warm_champion(api)


def test_without_a_service_on_this_machine_nothing_is_warmed():
    told = warm_cache.warm_champion(ApiSettings(port=free_port()))
    assert told["warmed"] == 0
    assert "no service is running" in told["skipped"]


def test_a_service_that_settings_name_must_answer():
    api = ApiSettings(base_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ServiceUnavailableError, match="does not answer"):
        warm_cache.warm_champion(api)
