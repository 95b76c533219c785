"""What a run was asked to read, as whoever starts one says and every model version remembers."""

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from pipelines.data.sources.locations import absolute, library_name, short_name, without_password
from pipelines.registry import CHAMPION, ModelVersion, Registry
from pipelines.settings import Settings

STORED = "library"
"""The source that reads what PostgreSQL holds of a library."""
FEEDBACK = "feedback"
"""The source that reads what the service was told of a library's readers."""
OURS = frozenset({STORED, FEEDBACK})
"""Sources that read our own database: a library is named there, not located."""


class RunParams(BaseModel):
    """What distinguishes one run from another; the same parameters and data give the same model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "sample"
    data_path: str | None = Field(None, repr=False)
    """Where the source reads. Its password, if it has one, is neither recorded nor shown."""
    source_options: dict[str, str] = {}
    """What the source is told besides, such as the delimiter of its files."""
    library: str | None = None
    """What the library is called that the data belong to, wherever they lie; see `dataset`."""
    mode: Literal["full", "addition"] = "full"
    """Whether the data are the whole library, or a batch that adds to what is stored of it."""
    seed: int = Field(42, ge=0)

    @property
    def dataset(self) -> str:
        """
        Under what PostgreSQL keeps the run's tables: the library, else the source and its place.

        Libraries that come through the same source from different places never meet, and none is
        taken for a later batch of the other.
        """
        if self.library:
            return self.library
        if self.source in OURS and self.data_path:
            return self.data_path
        return f"{self.source}/{short_name(self.data_path)}" if self.data_path else self.source

    @property
    def options(self) -> dict[str, str]:
        """What the source is told, by whoever started the run and by us."""
        ours = {"library": self.library or self.data_path or ""} if self.source in OURS else {}
        return self.source_options | ours

    @field_validator("library")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        return library_name(value) if value else None

    @field_serializer("data_path")
    def _without_password(self, value: str | None) -> str | None:
        return None if value is None else without_password(value)


def unattended_params(settings: Settings, registry: Registry, *, seed: int) -> RunParams:
    """
    What a run reads that nobody gave a source: the configured one, else what the champion was made
    from, so that a schedule never replaces a model of your data by one of another; else the sample.
    """
    if settings.source is not None:
        return RunParams(
            source=settings.source,
            data_path=settings.data_path,
            source_options=settings.source_options,
            library=settings.library,
            seed=seed,
        )
    champion = registry.by_alias(CHAMPION)
    if champion is None:
        return RunParams(seed=seed)
    return trained_on(champion).model_copy(update={"seed": seed})


def trained_on(version: ModelVersion) -> RunParams:
    """What a version was made from."""
    tags = version.tags
    read = RunParams(
        source=tags.get("source", ""),  # of one that somebody registered by hand
        data_path=tags.get("data_path") or None,
        source_options=json.loads(tags.get("source_options", "{}")),
    )
    library = tags.get("library", read.dataset)
    return read if library == read.dataset else read.model_copy(update={"library": library})


def located(source: str, data: str | None) -> str | None:
    """Where a source reads, the same for every later task; a library is named, not located."""
    return data if data is None or source in OURS else absolute(data)
