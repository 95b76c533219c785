"""What the API answers. Ids keep the type they have in the catalogue: a number stays a number."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from pipelines.data.interactions import Id
from serving.model.slot import LoadedModel, Refusal
from serving.recommending.paging import ServedAnswer, ServedList

_UUID = "0b6f2c1e-5f3a-4a51-9d0c-7b1c9a3f2d11"
_TIME = "2026-11-25T14:44:33Z"

WRITTEN_AT_ONCE = 50
"""Lists, each of at most a hundred books: some milliseconds."""


class RankedBook(BaseModel):
    """One place of a list."""

    rank: int = Field(description="From 1, best first.", examples=[1])
    book_id: Id = Field(examples=[1302])
    title: str = Field(examples=["The Left Hand of Darkness"])
    authors: tuple[str, ...] = Field(examples=[["Ursula K. Le Guin"]])
    score: float = Field(
        description="Comparable within this list only; never ascends, unless varied.",
        examples=[0.87],
    )
    reasons: tuple[str, ...] = Field(
        description="Why it stands here, for a reader's eyes; where asked for with `explain`.",
        examples=[["because you liked The Dispossessed"]],
    )


class BookList(BaseModel):
    """A ranked list and where it came from."""

    recommendation_id: UUID = Field(
        default_factory=uuid4, description="Names this answer.", examples=[_UUID]
    )
    model_version: int = Field(examples=[3])
    source: Literal["cache", "model", "fallback"] = Field(
        description="`fallback`: popular books, because nothing else is known: not about whom it "
        "is for, or not when books were read.",
        examples=["model"],
    )
    items: list[RankedBook]
    next_cursor: str | None = Field(
        None,
        description="Ask the same with this `cursor` for what follows; null where the list ended. "
        "Another model in service ends it too, with status 410.",
        examples=["My0xYTJiM2M0ZDVlNmY6MTA"],
    )

    @classmethod
    def of(cls, answer: ServedAnswer, **fields: Any) -> Self:
        """The list of `answer`, with the remaining fields as given."""
        items = [RankedBook.model_construct(**item) for item in _ranked(answer)]
        return cls(
            model_version=answer.model_version,
            source=answer.source,
            items=items,
            next_cursor=answer.next_cursor,
            **fields,
        )


class ReadersList(BookList):
    """Recommendations for one reader."""

    user_id: Id = Field(examples=[4213])

    @staticmethod
    def json_of(answer: ServedList) -> bytes:
        """The document at once: to make and check models would take far longer."""
        return (
            b'{"recommendation_id":"%b","model_version":%d,"source":"%b","items":%b,'
            b'"next_cursor":%b,"user_id":%b}'
        ) % (
            new_id(),
            answer.model_version,
            answer.source.encode(),
            answer.books.json(explain=answer.explain),
            to_json(answer.next_cursor),
            to_json(answer.asked_for),
        )


class ReadersLists(BaseModel):
    """Recommendations for many readers, in the order asked."""

    lists: list[ReadersList]

    @staticmethod
    async def json_of(answers: Sequence[ServedList]) -> bytes:
        """The document, some lists at a time: others have their turns in between."""
        written: list[bytes] = []
        for start in range(0, len(answers), WRITTEN_AT_ONCE):
            written += map(ReadersList.json_of, answers[start : start + WRITTEN_AT_ONCE])
            await asyncio.sleep(0)
        return b'{"lists":[%b]}' % b",".join(written)


def new_id() -> bytes:
    """As `uuid4` writes it, in a tenth of the time; it names an answer, and is no secret."""
    drawn = f"{random.getrandbits(128):032x}"
    variant = "89ab"[int(drawn[16], 16) & 3]
    return (
        f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{variant}{drawn[17:20]}-{drawn[20:]}".encode()
    )


class SessionList(BookList):
    """Recommendations among or after books that were named."""

    unknown: tuple[str, ...] = Field(
        description="What was named and is not in the catalogue.", examples=[["17"]]
    )


class SimilarBooks(BookList):
    """Books like one book."""

    book_id: Id = Field(examples=[1302])


class SimilarToSeveral(SessionList):
    """Books like some books."""

    book_ids: list[Id] = Field(examples=[[1302, 17]])


def _ranked(answer: ServedAnswer) -> list[dict[str, Any]]:
    return [{"rank": rank, **vars(item)} for rank, item in enumerate(answer.items, start=1)]


class Genre(BaseModel):
    """A genre, as it is mostly spelt."""

    name: str = Field(examples=["fantasy"])
    books: int = Field(examples=[1204])


class Genres(BaseModel):
    """The genres of a catalogue, large ones first."""

    genres: list[Genre]


class Book(BaseModel):
    """A catalogue entry; a source may bring further fields."""

    model_config = ConfigDict(extra="allow")

    book_id: Id = Field(examples=[1302])
    title: str | None = Field(None, examples=["The Left Hand of Darkness"])
    authors: list[str] = Field([], examples=[["Ursula K. Le Guin"]])


class RefusalReport(BaseModel):
    """Why the champion is not in service."""

    version: int | None = Field(description="Null where the registry did not answer.", examples=[4])
    reason: str = Field(examples=["manifest.json: checksum of item_knn/indices.npy differs"])
    at: datetime = Field(examples=[_TIME])

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        return cls(version=refusal.version, reason=refusal.reason, at=refusal.at)


class CurrentModel(BaseModel):
    """The model in service."""

    name: str = Field(examples=["bookrec-hybrid"])
    version: int = Field(examples=[3])
    run_id: str = Field(examples=["5d1c0e2b9a7f4c63"])
    aliases: tuple[str, ...] = Field(examples=[["champion"]])
    created_at: datetime = Field(examples=[_TIME])
    loaded_at: datetime = Field(examples=[_TIME])
    tags: dict[str, str] = Field(
        description="As registered: metrics, and where the report on its data lies.",
        examples=[{"ndcg_at_10": "0.1812", "data_quality_report": "…/profile/report.html"}],
    )
    parts: dict[str, float] = Field(
        description="The models that it blends and how much each counts, for a reader of average "
        "history; each can be asked alone, as `model`.",
        examples=[{"item_knn": 0.41, "content": 0.22}],
    )
    readers: int = Field(examples=[2672])
    books: int = Field(examples=[9995])
    last_refusal: RefusalReport | None = Field(examples=[None])

    @classmethod
    def of(cls, name: str, model: LoadedModel, refusal: Refusal | None) -> Self:
        version = model.version
        return cls(
            name=name,
            version=version.version,
            run_id=version.run_id,
            aliases=version.aliases,
            created_at=version.created_at,
            loaded_at=model.loaded_at,
            tags=dict(version.tags),
            parts=model.bundle.weights,
            readers=len(model.bundle.users),
            books=len(model.bundle.books),
            last_refusal=RefusalReport.of(refusal) if refusal is not None else None,
        )


class WarmReport(BaseModel):
    """How far a warm-up is."""

    model_config = ConfigDict(from_attributes=True)

    version: int = Field(examples=[3])
    done: int = Field(description="Readers so far.", examples=[150])
    total: int = Field(description="Readers in all.", examples=[7000])
    finished: bool = Field(
        description="Nothing more will happen; `outcome` says how it ended.", examples=[False]
    )
    outcome: Literal["running", "complete", "superseded", "failed"]
    seconds: float = Field(examples=[2.1])


class Check(BaseModel):
    """One thing the service leans on."""

    ok: bool = Field(examples=[True])
    detail: str = Field(examples=["version 3"])


class Readiness(BaseModel):
    """Whether requests can be answered; `degraded` is slower, or not from the newest champion."""

    status: Literal["ready", "degraded", "unready"]
    checks: dict[str, Check] = Field(examples=[{"model": {"ok": True, "detail": "version 3"}}])


class Problem(BaseModel):
    """An error, after RFC 9457."""

    type: str = Field(examples=["urn:bookrec:problem:book-not-found"])
    title: str = Field(examples=["Book not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no book has the id '17'"])
    request_id: str | None = Field(None, description="As in the X-Request-ID header and the log.")
    errors: list[dict[str, str]] | None = Field(
        None, description="For status 422: `where` each value stands and what is `wrong` with it."
    )
    error: str | None = Field(None, description="OAuth 2's word for it, where it has one.")
