"""Loads of batches, the order of ratings in them, and the editions of books."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

_NOW = sa.func.now()
_POSITIONS = sa.Sequence("ratings_position")


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
    op.create_index("editions_by_book", "editions", ["source", "book_id"])
    op.execute(sa.schema.CreateSequence(_POSITIONS))
    op.add_column(
        "ratings",
        sa.Column(
            "position",
            sa.BigInteger,
            server_default=_POSITIONS.next_value(),
            nullable=False,
        ),
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
    op.drop_column("ratings", "position")
    op.execute(sa.schema.DropSequence(_POSITIONS))
