import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook

from pipelines.settings import Settings
from pipelines.storage.webhooks import Endpoint
from pipelines.webhooks import sending
from pipelines.webhooks.sending import Outcome, Sender, signed_headers
from tests.receiver import Receiver, answer, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the specification's own example
BODY = '{"test": 2432232314}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def send(url: str, sender: Sender | None = None) -> Outcome:
    endpoint = Endpoint(1, url, (), active=True, added_at=datetime.now(UTC), secret=SECRET)
    return (sender or Sender(settings())).send(endpoint, "evt-1", BODY, datetime.now(UTC))


def settings(**changes: object) -> Settings:
    rules = {"allow_private": True, "timeout_seconds": 2} | changes
    return Settings(webhooks=rules)


def test_the_signature_is_that_of_the_specification():
    moment = datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, moment)
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_arrives_verifies_with_the_secret_and_with_no_other(receiver: Receiver):
    assert send(receiver.url) == Outcome(None, 204)
    (got,) = receiver.received
    assert got.path == "/hook"
    assert got.body == BODY
    assert Webhook(SECRET).verify(got.body, dict(got.headers)) == {"test": 2432232314}
    with pytest.raises(Exception, match="No matching signature"):
        Webhook("whsec_" + "A" * 32).verify(got.body, dict(got.headers))


def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver):
    receiver.answers = [answer(307, Location=f"{receiver.url}/elsewhere")]
    assert send(receiver.url) == Outcome("answered 307", 307)
    assert len(receiver.received) == 1


def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])
    connected = []

    def refuse(_backend, address: str, *_: object) -> None:
        connected.append(address)
        raise httpcore.ConnectError("nobody is there")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", refuse)
    strict = Sender(settings(allow_private=False), lambda *_: next(answers))
    assert send(f"http://hooks.example:{receiver.port}/", strict) == Outcome("nobody is there")
    assert connected == ["93.184.216.34"]
    assert next(answers) == ["127.0.0.1"], "it was resolved a second time"
    assert "is not on the internet" in str(
        send(f"http://hooks.example:{receiver.port}/", strict).error
    )


def test_a_private_address_gets_nothing(receiver: Receiver):
    outcome = send(receiver.url, Sender(settings(allow_private=False)))
    assert "127.0.0.1 is not on the internet" in str(outcome.error)
    assert receiver.received == []


def test_where_the_name_is_ours_to_resolve_the_receiver_sees_the_name(receiver: Receiver):
    sender = Sender(settings(), lambda *_: ["127.0.0.1"])
    assert send(f"http://hooks.example:{receiver.port}/a%2Fb?c=d", sender).error is None
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"
    assert receiver.received[0].path == "/a%2Fb?c=d"


def test_the_next_address_is_tried_where_one_does_not_answer(receiver: Receiver):
    sender = Sender(settings(), lambda *_: ["127.255.255.254", "127.0.0.1"])
    assert send(f"http://hooks.example:{receiver.port}/", sender).error is None


def test_an_endless_answer_is_not_read(receiver: Receiver):
    sent = []

    def endless(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(65_536))
            sent.append(65_536)

    receiver.answers = [endless]
    started = time.monotonic()
    assert send(receiver.url) == Outcome(None, 200)
    assert time.monotonic() - started < 1
    time.sleep(0.2)
    assert sum(sent) < 50_000_000  # what fits into the buffers of a connection


def test_an_answer_byte_by_byte_is_given_up(receiver: Receiver):
    def dripping(handler) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 100:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)

    receiver.answers = [dripping]
    started = time.monotonic()
    outcome = send(receiver.url, Sender(settings(timeout_seconds=0.5)))
    assert outcome.error is not None
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (503, "7", 7.0),
        (429, "7", 7.0),
        (500, "7", None),
        (503, "soon", None),
        (503, "", None),
    ],
)
def test_patience_is_what_a_busy_receiver_asks_for(
    receiver: Receiver, status: int, said: str, expected: float | None
):
    receiver.answers = [answer(status, Retry_After=said)]
    assert send(receiver.url) == Outcome(f"answered {status}", status, expected)


def test_patience_may_be_asked_for_as_a_date(receiver: Receiver):
    at = datetime.now(UTC) + timedelta(minutes=5)
    receiver.answers = [answer(503, Retry_After=f"{at:%a, %d %b %Y %H:%M:%S} GMT")]
    assert send(receiver.url).retry_after == pytest.approx(300, abs=5)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://.bad:9/"])
def test_a_receiver_that_is_not_there_is_an_outcome_not_an_error(url: str):
    assert send(url, Sender(settings(), lambda *_: ["127.0.0.1"])).error


def test_a_secret_that_was_spoilt_is_an_outcome_not_an_error(receiver: Receiver):
    now = datetime.now(UTC)
    spoilt = Endpoint(1, receiver.url, (), active=True, added_at=now, secret="whsec_A")  # noqa: S106 - it is none
    assert Sender(settings()).send(spoilt, "evt-1", BODY, now).error
    assert receiver.received == []


def test_outside_of_development_nothing_goes_unencrypted(receiver: Receiver):
    production = Settings(environment="production", webhooks={"allow_private": True})
    assert "must begin with https://" in str(send(receiver.url, Sender(production)).error)
    assert receiver.received == []


def test_the_certificate_must_be_for_the_name_though_the_address_was_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    certificate = self_signed(tmp_path, "hooks.example")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(sending, "_trust", lambda: trusting)
    sender = Sender(settings(), lambda *_: ["127.0.0.1"])
    with receiving(server) as receiver:
        assert send(f"https://hooks.example:{receiver.port}/", sender).error is None
        refused = send(f"https://other.example:{receiver.port}/", sender)
    assert "certificate" in str(refused.error)
    assert len(receiver.received) == 1


def self_signed(folder: Path, name: str) -> Path:
    """A certificate and its key in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = folder / "certificate.pem"
    file.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, private, serialization.NoEncryption())
    )
    return file
