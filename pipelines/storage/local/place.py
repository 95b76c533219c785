"""Where the servers of a home lie and whom they run as."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.errors import ConfigurationError, StorageError
from pipelines.storage.local.account import Account
from pipelines.storage.local.neutral import NeutralRoot
from pipelines.storage.local.programs import Programs
from pipelines.storage.local.state import read_id, write_id


class LocalServersSettings(BaseSettings):
    """Settings of the embedded servers alone."""

    model_config = SettingsConfigDict(env_prefix="BOOKREC_LOCAL_", extra="ignore", frozen=True)

    fsync: bool = True
    """Off makes tests faster, and a database that a power cut may destroy."""
    servers_user: str = "nobody"
    """Whom the servers run as where we are root."""
    servers_root: Path = Path("/var/lib/bookrec")
    """Where their data lies where we are root."""


def local_settings() -> LocalServersSettings:
    """
    Read from the environment at each call.

    Raises:
        ConfigurationError: malformed.
    """
    try:
        return LocalServersSettings()
    except ValidationError as error:
        wrong = ", ".join(f"BOOKREC_LOCAL_{str(e['loc'][0]).upper()}" for e in error.errors())
        raise ConfigurationError(f"malformed: {wrong}") from None


@dataclass(frozen=True)
class Place:
    """`neutral` and `identity` are None unless we are root."""

    home: Path
    folder: Path
    account: Account
    neutral: NeutralRoot | None = None
    identity: str | None = None

    def prepare(self, is_running: Callable[[Path], bool]) -> None:
        """Make `folder`; `is_running` tells whether servers still run in a folder like it."""
        if self.neutral is not None and self.identity is not None:
            self.neutral.prepare(self.identity, self.home, is_running)

    def executables(self, programs: Programs) -> Path:
        """The folder of a wheel's executables, where the account can run them."""
        if self.neutral is None:
            return programs.under(programs.site)
        return self.neutral.copied(programs)


def open_home(home: Path) -> Path:
    """
    The home's resolved path, with a private folder `servers` in it.

    Raises:
        StorageError: another user's, so that what we write could not be used by them.
    """
    home = home.expanduser().resolve()
    servers = home / "servers"
    servers.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = servers.stat().st_uid
    if owner != os.geteuid():
        raise StorageError(f"{servers} belongs to user {owner}: run as that user")
    return home


def find_place(home: Path, settings: LocalServersSettings) -> Place | None:
    """Where the servers of `home`, a resolved path, lie; None where they never did."""
    servers = home / "servers"
    if os.geteuid() != 0:
        return Place(home, servers, Account())
    account = Account.unprivileged(settings.servers_user)
    neutral = NeutralRoot(settings.servers_root.expanduser().resolve(), account)
    identity = read_id(servers)
    if identity is None or neutral.is_of_another_home(identity, home):
        return None
    return Place(home, neutral.folder(identity), account, neutral, identity)


def make_place(home: Path, settings: LocalServersSettings) -> Place:
    """Where the servers of `home` lie, giving it an identity where it has none of its own."""
    place = find_place(home, settings)
    if place is None:
        # What a copied home remembers belongs to the home it was copied from.
        (home / "servers/servers.json").unlink(missing_ok=True)
        write_id(home / "servers")
        place = find_place(home, settings)
    if place is None:
        raise StorageError(f"another process gives {home} an identity: try again")
    return place
