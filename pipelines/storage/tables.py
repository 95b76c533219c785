"""
What PostgreSQL keeps.

Ids are text here whatever their type in a source, and every table of readers and books is keyed by
library first (`source`), so that book 7 of one catalogue never meets book 7 of another.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Sequence,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

POSITIONS = "ratings_position"


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own way to declare it
        str: Text,
        datetime: DateTime(timezone=True),
        list[str]: ARRAY(Text),
        dict[str, Any]: JSONB,
    }


class BookRow(Base):
    __tablename__ = "books"

    source: Mapped[str] = mapped_column(primary_key=True)
    book_id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    authors: Mapped[list[str]]
    year: Mapped[int | None]
    language: Mapped[str | None]
    genres: Mapped[list[str]]
    series: Mapped[str | None]
    isbn13: Mapped[str | None]
    description: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ReaderRow(Base):
    __tablename__ = "readers"

    source: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RatingRow(Base):
    __tablename__ = "ratings"

    source: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    book_id: Mapped[str] = mapped_column(primary_key=True)
    rating: Mapped[float | None]
    rated_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    position: Mapped[int] = mapped_column(
        BigInteger, Sequence(POSITIONS), server_default=text(f"nextval('{POSITIONS}')")
    )
    """In the order in which ratings were loaded; within a batch in its own."""

    __table_args__ = (
        ForeignKeyConstraint(
            ["source", "user_id"], ["readers.source", "readers.user_id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(["source", "book_id"], ["books.source", "books.book_id"]),
        Index("ratings_by_book", "source", "book_id"),
    )


class EditionRow(Base):
    """Under which other ids a book is known: of its editions, or its own spelt otherwise."""

    __tablename__ = "editions"

    source: Mapped[str] = mapped_column(primary_key=True)
    edition_id: Mapped[str] = mapped_column(primary_key=True)
    book_id: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        ForeignKeyConstraint(["source", "book_id"], ["books.source", "books.book_id"]),
        Index("editions_by_book", "source", "book_id"),
    )


class LoadRow(Base):
    """One row for each batch that became part of a library, numbered in that order."""

    __tablename__ = "loads"

    number: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    library: Mapped[str]
    run_id: Mapped[str]
    mode: Mapped[str]
    source: Mapped[str]
    loaded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    files: Mapped[dict[str, Any]]
    rows: Mapped[dict[str, Any]]
    added: Mapped[int]
    changed: Mapped[int]
    total: Mapped[int]
    newest_rated_at: Mapped[datetime | None]
    catalogue: Mapped[dict[str, Any]]

    __table_args__ = (UniqueConstraint("library", "run_id"),)


class ModelReleaseRow(Base):
    """One row for each decision of the gate, kept for ever."""

    __tablename__ = "model_releases"

    model: Mapped[str] = mapped_column(String(128), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str]
    accepted: Mapped[bool]
    decision: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    data_fingerprint: Mapped[str]
    decided_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AliasMoveRow(Base):
    """One row for each move of an alias, committed before the alias moves; kept for ever."""

    __tablename__ = "alias_moves"

    number: Mapped[int] = mapped_column(Identity(), primary_key=True)
    model: Mapped[str] = mapped_column(String(128))
    alias: Mapped[str]
    action: Mapped[str]
    from_version: Mapped[int | None]
    to_version: Mapped[int]
    who: Mapped[str]
    why: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    moved_at: Mapped[datetime | None]
    """Unset where the process ended before the alias had moved, or before it could say so."""

    __table_args__ = (Index("alias_moves_by_model", "model", "alias", "number"),)


class DataProfileRow(Base):
    """One row for each batch that was profiled, refused ones too."""

    __tablename__ = "data_profile"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(primary_key=True)
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
    accepted: Mapped[bool]
    score: Mapped[float]
    quality: Mapped[dict[str, Any]]
    profile: Mapped[dict[str, Any]]
    stored_at: Mapped[datetime | None]

    __table_args__ = (Index("data_profile_by_time", "dataset", "made_at"),)


class FeedbackRow(Base):
    """One row for each thing that a reader did with a book, as the service was told."""

    __tablename__ = "feedback"

    number: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    """In the order of arrival: how far a load has read."""
    event_id: Mapped[UUID] = mapped_column(Uuid, unique=True)
    source: Mapped[str]
    user_id: Mapped[str]
    book_id: Mapped[str]
    kind: Mapped[str]
    rating: Mapped[float | None]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    recommendation_id: Mapped[UUID | None] = mapped_column(Uuid)

    __table_args__ = (Index("feedback_by_reader", "source", "user_id"),)


class ErasureRow(Base):
    """One row for each reader who was erased from a library; it holds nothing of theirs."""

    __tablename__ = "erasures"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    library: Mapped[str]
    reader_hash: Mapped[str]
    key_id: Mapped[str]
    reason: Mapped[str | None]
    touched: Mapped[dict[str, Any]]
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]
    lifted_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "erasures_in_force",
            "library",
            "reader_hash",
            unique=True,
            postgresql_where=text("lifted_at is null"),
        ),
    )


class ExportRow(Base):
    """Where a list for every reader was written to."""

    __tablename__ = "exports"

    path: Mapped[str] = mapped_column(primary_key=True)
    library: Mapped[str]
    version: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())


class UserRow(Base):
    """Somebody who logs in with a password; a reader's name is their id."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    password_hash: Mapped[str]
    roles: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]


class ApiKeyRow(Base):
    """A key of a program; the key itself is nowhere."""

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    secret_hash: Mapped[str]
    name: Mapped[str]
    roles: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditRow(Base):
    """One row for each act of somebody with power; never changed."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    request_id: Mapped[str | None]
    outcome: Mapped[str]

    __table_args__ = (Index("audit_log_by_time", "at"),)


class WebhookRow(Base):
    """Where events are sent to; the secret has to be readable, because it signs."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    url: Mapped[str]
    secret: Mapped[str]
    event_types: Mapped[list[str]]
    """Empty for all."""
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WebhookDeliveryRow(Base):
    """An event on its way to one endpoint."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[str]
    event_type: Mapped[str]
    body: Mapped[str]
    """Text, not JSON: what is signed and sent is the same to the byte at every attempt."""
    state: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        Index(
            "webhook_deliveries_pending",
            "due_at",
            postgresql_where=text("state = 'pending'"),
        ),
    )
