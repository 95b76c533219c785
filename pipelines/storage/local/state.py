"""What a home remembers of its servers: its identity, their ports and their passwords."""

import os
import secrets
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import StorageError

HOST = "127.0.0.1"


class Endpoint(BaseModel):
    """Where a server listens, on loopback, and what it asks for."""

    model_config = ConfigDict(frozen=True)

    port: int
    password: str = Field(repr=False)

    @classmethod
    def fresh(cls) -> "Endpoint":
        """A free port and a random password."""
        return cls(port=_free_port(), password=secrets.token_urlsafe(24))

    def on_free_port(self) -> "Endpoint":
        """The same where the port is still free, otherwise on another one."""
        return self if _is_free(self.port) else Endpoint(port=_free_port(), password=self.password)


class State(BaseModel):
    """The content of `servers.json`; a server that was never started is None."""

    model_config = ConfigDict(frozen=True)

    postgres: Endpoint | None = None
    valkey: Endpoint | None = None

    @classmethod
    def read(cls, path: Path) -> "State":
        """
        Read `servers.json`; a missing one is empty.

        Raises:
            StorageError: it is damaged.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except ValidationError:
            raise StorageError(
                f"{path} is damaged: restore it, or remove {path.parent.parent} to begin anew"
            ) from None

    def write(self, path: Path) -> None:
        """Replace the file as a whole, readable by its owner alone."""
        write_private(path, self.model_dump_json(indent=2))


def read_id(servers: Path) -> str | None:
    """The identity of the home whose servers folder this is; None before its first start."""
    try:
        return (servers / "home-id").read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_id(servers: Path) -> str:
    """Give a home an identity."""
    identity = secrets.token_hex(16)
    write_private(servers / "home-id", identity)
    return identity


def write_private(path: Path, text: str) -> None:
    """Replace a file with mode 600, whole even after a power cut."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        # As the servers do it: connections that just ended do not count.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])
