"""Stand-ins that keep the contracts of the real things and need no server."""

import fnmatch
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.data.interactions import History, Id, Vocabulary
from pipelines.errors import CacheUnavailableError, RegistryError
from pipelines.models.answers import Answer, Read, Recommendation
from pipelines.models.bundle import BundleConfig
from pipelines.models.reranking import UNCHANGED, Reranking
from pipelines.registry import CONTENT, PIPELINE_RUN, DataUsed, ModelVersion, content_of


class FakeRegistry:
    """A registry in memory; set `failure` and it is out of reach."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self.fetched: list[int] = []
        self._runs: set[str] = set()
        self._versions: dict[int, ModelVersion] = {}
        self._bundles: dict[int, Path] = {}
        self._aliases: dict[str, int] = {}

    def record_run(
        self,
        name: str,
        pipeline_run: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        data: DataUsed | None = None,
    ) -> str:
        self._runs.add(f"{name}-{pipeline_run}")
        return f"{name}-{pipeline_run}"

    def register(
        self, name: str, pipeline_run: str, bundle: Path, tags: Mapping[str, str]
    ) -> ModelVersion:
        run_id = f"{name}-{pipeline_run}"
        if run_id not in self._runs:
            raise RegistryError(f"no run of {name} is recorded for {pipeline_run}")
        content = {PIPELINE_RUN: pipeline_run, CONTENT: content_of(bundle)}
        for known in self._versions.values():
            if content.items() <= known.tags.items():
                return known
        return self.put(run_id, bundle, {**content, **tags})

    def put(self, run_id: str, bundle: Path, tags: Mapping[str, str]) -> ModelVersion:
        """The next version, without a look at what is in the folder."""
        version = ModelVersion(len(self._versions) + 1, run_id, datetime.now(UTC), tags=dict(tags))
        self._versions[version.version] = version
        self._bundles[version.version] = bundle
        return version

    def set_alias(self, alias: str, version: int) -> None:
        self._aliases[alias] = version

    def by_alias(self, alias: str) -> ModelVersion | None:
        self._answer()
        return self._listed(self._aliases[alias]) if alias in self._aliases else None

    def versions(self) -> list[ModelVersion]:
        return [self._listed(number) for number in sorted(self._versions, reverse=True)]

    def fetch(self, version: int, target: Path) -> Path:
        self._answer()
        self.fetched.append(version)
        return self._bundles[version]

    def _answer(self) -> None:
        if self.failure is not None:
            raise RegistryError(self.failure)

    def _listed(self, number: int) -> ModelVersion:
        known = self._versions[number]
        aliases = tuple(sorted(a for a, v in self._aliases.items() if v == number))
        return ModelVersion(known.version, known.run_id, known.created_at, aliases, known.tags)


class FakeBundle:
    """A model of 300 books that gives reader number r the books r, r+1, … with falling scores."""

    def __init__(self, users: Vocabulary, books: Vocabulary, title: str = "Book") -> None:
        self.users = users
        self.books = books
        self._title = title
        self.questions: list[str] = []
        self.config = BundleConfig(rating_scale=(1.0, 5.0))
        self.weights = {"item_knn": 0.75, "content": 0.25}

    def recommend(self, user_id: str, n: int, *, skip: int = 0, explain: bool = True) -> Answer:
        self.questions.append(user_id)
        known = self.users.parse(user_id)
        if known is None:
            return self.popular(n, skip=skip)
        start = int(self.users.nums([known])[0]) + skip
        return Answer(self._items(start, n, ("because",) if explain else ()), "model")

    def history(self, user_id: str) -> History:
        return History.of([1, 2])

    def history_of(self, read: Sequence[Read], user_id: str) -> str:
        """Of whoever has read something that of reader 3, so that it can be seen in the answer."""
        return "3" if read else user_id

    def recommend_to(
        self,
        histories: Sequence[str],
        n: int,
        *,
        skip: int = 0,
        explain: bool,
        reranking: Reranking,
    ) -> list[Answer]:
        assert reranking == UNCHANGED
        return [self.recommend(h, n, skip=skip, explain=explain) for h in histories]

    def similar(
        self, book_ids: Sequence[str], n: int, *, skip: int = 0, reranking: Reranking = UNCHANGED
    ) -> Answer | None:
        known = self.books.parse(book_ids[0])
        if known is None:
            return None
        return Answer(self._items(int(self.books.nums([known])[0]) + 1 + skip, n, ()), "model")

    def popular(self, n: int, *, skip: int = 0, reranking: Reranking = UNCHANGED) -> Answer:
        return Answer(self._items(skip, n, ("popular",)), "fallback")

    def book(self, book_id: str) -> dict[str, Any] | None:
        known = self.books.parse(book_id)
        if known is None:
            return None
        return {"book_id": known, "title": f"{self._title} {known}", "authors": ["Ada"]}

    def _items(self, start: int, n: int, reasons: tuple[str, ...]) -> tuple[Recommendation, ...]:
        ids: list[Id] = list(self.books)
        chosen = itertools.islice(itertools.cycle(ids), start, start + min(n, len(ids)))
        return tuple(
            Recommendation(book_id, f"{self._title} {book_id}", ("Ada",), 1 / (rank + 3), reasons)
            for rank, book_id in enumerate(chosen)
        )


class FakeCache:
    """A cache in memory that never forgets; set `failure` and it is out of reach."""

    keeps = True

    def __init__(self) -> None:
        self.failure: str | None = None
        self.values: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        self._answer()
        return self.values.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        self._answer()
        return [self.values.get(key) for key in keys]

    async def put(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        self._answer()
        self.values.update(values)

    async def append(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        self._answer()
        for key, value in values.items():
            self.values[key] = self.values.get(key, b"") + value

    async def claim(self, key: str, ttl_seconds: int) -> bool:
        self._answer()
        if key in self.values:
            return False
        self.values[key] = b"1"
        return True

    async def drop(self, key: str) -> None:
        self._answer()
        self.values.pop(key, None)

    async def measure(self, pattern: str) -> tuple[int, int]:
        self._answer()
        found = fnmatch.filter(self.values, pattern)
        return len(found), sum(len(self.values[key]) for key in found)

    async def drop_all(self, pattern: str) -> int:
        self._answer()
        found = fnmatch.filter(self.values, pattern)
        for key in found:
            del self.values[key]
        return len(found)

    async def ping(self) -> None:
        self._answer()

    async def close(self) -> None:
        pass

    def _answer(self) -> None:
        if self.failure is not None:
            raise CacheUnavailableError(self.failure)
