"""Loads of batches, and the editions of books."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

_NOW = sa.func.now()


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "editions",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("edition_id", sa.Text, primary_key=True),
        sa.Column("book_id", sa.Text, nullable=False),
        sa.Column("updated_at", moment, server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(["source", "book_id"], ["books.source", "books.book_id"]),
    )
    op.create_table(
        "loads",
        sa.Column("number", sa.Integer, sa.Identity(always=True), primary_key=True),
        sa.Column("library", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("loaded_at", moment, server_default=_NOW, nullable=False),
        sa.Column("files", JSONB, nullable=False),
        sa.Column("rows", JSONB, nullable=False),
        sa.Column("added", sa.Integer, nullable=False),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("newest_rated_at", moment),
        sa.Column("catalogue", JSONB, nullable=False),
        sa.UniqueConstraint("library", "run_id"),
    )


def downgrade() -> None:
    for table in ("loads", "editions"):
        op.drop_table(table)
