"""What is answered about what is kept of answers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CacheLevel(BaseModel):
    """One place in which answers are kept."""

    model_config = ConfigDict(from_attributes=True)

    entries: int = Field(examples=[2672])
    n_bytes: int = Field(description="Of the answers alone.", examples=[18_200_000])
    hits: int = Field(description="Of all workers since the service began.", examples=[90_210])
    misses: int = Field(examples=[2_700])
    ttl_seconds: float = Field(description="The longest life of an entry.", examples=[86_400])


class CacheReport(BaseModel):
    """What is kept of answers, and where."""

    model_config = ConfigDict(from_attributes=True)

    version: int = Field(description="The model in service.", examples=[3])
    worker: CacheLevel = Field(description="In the memory of the worker that answers.")
    redis: CacheLevel | None = Field(
        description="Readers' lists of this version; null while Redis cannot be asked.",
        examples=[None],
    )
    breaker: Literal["closed", "open"] = Field(
        description="Open: Redis failed, and requests leave it alone until it answers a probe.",
        examples=["closed"],
    )
    trouble: str | None = Field(description="Why Redis cannot be asked.", examples=[None])


class DroppedLists(BaseModel):
    """What was dropped."""

    dropped: int = Field(description="Lists in Redis.", examples=[2672])
