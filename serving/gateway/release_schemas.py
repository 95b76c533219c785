"""What is asked and answered about registered versions."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipelines.storage.alias_moves import AliasMove
from pipelines.storage.repositories import ModelRelease
from serving.releases import Release

_TIME = "2026-11-25T14:44:33Z"
Version = Annotated[int, Field(ge=1, lt=2**31, examples=[2])]


class RollbackWish(BaseModel):
    """Which version is to be champion, and why."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)
    ] = Field(description="For those who read the history.", examples=["complaints since noon"])
    to: Version | None = Field(
        None, description="The champion before this one, if left out.", examples=[2]
    )
    force: bool = Field(
        False, description="Take also a version that the gate has not accepted.", examples=[False]
    )


class Move(BaseModel):
    """One move of the champion's alias."""

    model_config = ConfigDict(from_attributes=True)

    number: int = Field(examples=[7])
    action: Literal["promote", "rollback"]
    from_version: int | None = Field(description="Null where there was no champion.", examples=[3])
    to_version: int = Field(examples=[2])
    who: str = Field(examples=["user:ann"])
    why: str = Field(examples=["complaints since noon"])
    at: datetime = Field(description="When it was decided.", examples=[_TIME])
    moved_at: datetime | None = Field(
        description="When the alias had moved; null where it was cut short, and may not have.",
        examples=[_TIME],
    )

    @classmethod
    def of(cls, move: AliasMove) -> Self:
        return cls.model_validate(move)


class Forced(BaseModel):
    """Who overruled the gate."""

    who: str = Field(examples=["cli:ann"])
    why: str = Field(examples=["the old one knows nothing of the new catalogue"])
    at: datetime = Field(examples=[_TIME])


class Verdict(BaseModel):
    """What the gate decided."""

    accepted: bool = Field(examples=[True])
    reasons: tuple[str, ...] = Field(
        examples=[["passed: ndcg_at_10 gain over popularity is +0.0412"]]
    )
    decided_at: datetime | None = Field(examples=[_TIME])
    forced: Forced | None = Field(
        description="Null where nobody made it champion against the gate.", examples=[None]
    )

    @classmethod
    def of(cls, decision: ModelRelease | None) -> Self | None:
        if decision is None:
            return None
        return cls(
            accepted=decision.accepted,
            reasons=tuple(decision.decision["reasons"]),
            decided_at=decision.decided_at,
            forced=decision.forced and Forced.model_validate(decision.forced),
        )


class VersionSummary(BaseModel):
    """A registered version."""

    version: int = Field(examples=[3])
    aliases: tuple[str, ...] = Field(examples=[["champion"]])
    created_at: datetime = Field(examples=[_TIME])
    run_id: str = Field(examples=["5d1c0e2b9a7f4c63"])
    source: str | None = Field(description="What it learnt from.", examples=["goodbooks-10k"])
    accepted: bool | None = Field(
        description="By the gate; null where it has not judged.", examples=[True]
    )
    ndcg_at_10: float | None = Field(examples=[0.1812])

    @classmethod
    def of(cls, release: Release) -> Self:
        version, decision = release.version, release.decision
        ndcg = version.tags.get("ndcg_at_10")
        return cls(
            version=version.version,
            aliases=version.aliases,
            created_at=version.created_at,
            run_id=version.run_id,
            source=version.tags.get("source"),
            accepted=None if decision is None else decision.accepted,
            ndcg_at_10=None if ndcg is None else float(ndcg),
        )


class VersionReport(VersionSummary):
    """A registered version, and all that is known of it."""

    decision: Verdict | None = Field(
        description="Null where the gate has not judged.", examples=[None]
    )
    metrics: dict[str, float] = Field(
        description="On test rows; empty where the gate has not judged.",
        examples=[{"ndcg_at_10": 0.1812, "coverage_at_10": 0.42}],
    )
    intervals: dict[str, tuple[float, float]] = Field(
        description="95 %, of each metric that is a mean over readers.",
        examples=[{"ndcg_at_10": [0.171, 0.1913]}],
    )
    data_quality_report: str | None = Field(
        description="Where the report on its data lies.", examples=["…/profile/report.html"]
    )
    tags: dict[str, str] = Field(description="As registered.", examples=[{"seed": "42"}])
    moves: list[Move] = Field(description="From it and to it, newest first.")

    @classmethod
    def of(cls, release: Release) -> Self:
        told = VersionSummary.of(release).model_dump()
        measured = {} if release.decision is None else release.decision.metrics
        return cls(
            **told,
            decision=Verdict.of(release.decision),
            metrics=measured.get("metrics", {}),
            intervals=measured.get("intervals", {}),
            data_quality_report=release.version.tags.get("data_quality_report"),
            tags=dict(release.version.tags),
            moves=[Move.of(move) for move in release.moves],
        )
