import stat
from pathlib import Path

import pytest

from pipelines.errors import StorageError
from pipelines.storage.local.state import Endpoint, State, read_id, write_id


def test_missing_file_remembers_nothing(tmp_path: Path) -> None:
    assert State.read(tmp_path / "servers.json") == State()


def test_state_is_read_as_written_and_private(tmp_path: Path) -> None:
    path = tmp_path / "servers.json"
    state = State(postgres=Endpoint.fresh())
    state.write(path)
    state.write(path)
    assert State.read(path) == state
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "servers.json"
    path.write_text('{"postgres": {"port"')
    with pytest.raises(StorageError, match=r"servers\.json is damaged"):
        State.read(path)


def test_password_is_not_shown() -> None:
    endpoint = Endpoint.fresh()
    assert endpoint.password not in repr(State(postgres=endpoint))


def test_passwords_differ() -> None:
    assert Endpoint.fresh().password != Endpoint.fresh().password


def test_free_port_is_kept() -> None:
    endpoint = Endpoint.fresh()
    assert endpoint.on_free_port() == endpoint


def test_identity_is_kept_until_rewritten(tmp_path: Path) -> None:
    assert read_id(tmp_path) is None
    first = write_id(tmp_path)
    assert read_id(tmp_path) == first
    assert write_id(tmp_path) != first
