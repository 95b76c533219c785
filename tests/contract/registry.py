"""What every registry keeps, real or not."""

from pathlib import Path

import pytest

from pipelines.errors import RegistryError
from pipelines.registry import Registry


def bundle(folder: Path, content: str) -> Path:
    """The least that can be registered: a folder with a manifest."""
    made = folder / content / "bundle"
    made.mkdir(parents=True)
    (made / "manifest.json").write_text(f'{{"content": "{content}"}}')
    return made


class RegistryContract:
    """To be inherited, with a fixture `registry` that is empty."""

    def put(self, registry: Registry, folder: Path, run: str = "run-1", content: str = "a"):
        registry.record_run("hybrid", run, params={}, metrics={}, tags={})
        return registry.register("hybrid", run, bundle(folder, content), {"source": "shop"})

    def test_empty(self, registry: Registry) -> None:
        """Nothing has a version or an alias."""
        assert registry.versions() == []
        assert registry.by_alias("champion") is None

    def test_versions_count_from_one(self, registry: Registry, tmp_path: Path) -> None:
        """Each registration is the next number; the newest comes first."""
        first = self.put(registry, tmp_path, "run-1", "a")
        second = self.put(registry, tmp_path, "run-2", "b")
        assert (first.version, second.version) == (1, 2)
        assert [v.version for v in registry.versions()] == [2, 1]

    def test_once(self, registry: Registry, tmp_path: Path) -> None:
        """The same bundle of the same run is registered once."""
        first = self.put(registry, tmp_path)
        again = registry.register("hybrid", "run-1", tmp_path / "a" / "bundle", {"source": "shop"})
        assert again.version == first.version
        assert len(registry.versions()) == 1

    def test_another_bundle_is_another_version(self, registry: Registry, tmp_path: Path) -> None:
        """A run that was repeated with another outcome registers that one too."""
        self.put(registry, tmp_path, content="a")
        assert self.put(registry, tmp_path, content="b").version == 2

    def test_an_alias_moves(self, registry: Registry, tmp_path: Path) -> None:
        """An alias points at one version, the last it was set to."""
        self.put(registry, tmp_path, "run-1", "a")
        self.put(registry, tmp_path, "run-2", "b")
        for version in (1, 2, 1):
            registry.set_alias("champion", version)
            found = registry.by_alias("champion")
            assert found is not None
            assert (found.version, found.aliases) == (version, ("champion",))
        assert [v.aliases for v in registry.versions()] == [(), ("champion",)]

    def test_tags(self, registry: Registry, tmp_path: Path) -> None:
        """Tags come back, and say which run and which bundle a version is."""
        self.put(registry, tmp_path)
        (version,) = registry.versions()
        assert version.tags["source"] == "shop"
        assert version.tags["pipeline_run"] == "run-1"
        assert len(version.tags["content_sha256"]) == 64

    def test_fetch(self, registry: Registry, tmp_path: Path) -> None:
        """What is fetched is what was registered."""
        self.put(registry, tmp_path, content="a")
        fetched = registry.fetch(1, tmp_path / "cache")
        assert (fetched / "manifest.json").read_text() == '{"content": "a"}'

    def test_no_run(self, registry: Registry, tmp_path: Path) -> None:
        """A bundle is registered under a run, so there has to be one."""
        with pytest.raises(RegistryError):
            registry.register("hybrid", "run-9", bundle(tmp_path, "a"), {})
