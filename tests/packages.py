"""Installs packages of somebody else into a folder, as an installer does: modules and metadata."""

import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pipelines import plugins

THEIRS = Path(__file__).parent / "plugin"
"""A package with a model, a source and a provider of embeddings."""

EntryPoints = Mapping[str, Mapping[str, str]]
"""By group, by name: `module:object`."""


def install_theirs(folder: Path) -> None:
    """Put the package of `tests/plugin` into a folder, which has to be on Python's path."""
    project = tomllib.loads((THEIRS / "pyproject.toml").read_text())["project"]
    install(folder, project["name"], project["entry-points"], version=project["version"])
    for module in THEIRS.glob("*.py"):
        shutil.copy(module, folder)


def install(
    folder: Path, package: str, entry_points: EntryPoints, code: str = "", *, version: str = "1.0"
) -> None:
    """A package of one module, named as the package is."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {package}\nVersion: {version}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in offers.items())
        for group, offers in entry_points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path to install packages in; nobody has looked for any before."""
    known = set(sys.modules)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    plugins._offers.cache_clear()
    yield folder
    plugins._offers.cache_clear()
    for module in set(sys.modules) - known:
        if getattr(sys.modules[module], "__file__", None) == str(folder / f"{module}.py"):
            del sys.modules[module]
