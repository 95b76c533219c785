"""Books, readers, ratings and model releases."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_NOW = sa.func.now()


def upgrade() -> None:
    op.create_table(
        "books",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("book_id", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("authors", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("year", sa.Integer),
        sa.Column("language", sa.Text),
        sa.Column("genres", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("series", sa.Text),
        sa.Column("isbn13", sa.Text),
        sa.Column("description", sa.Text),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
    )
    op.create_table(
        "readers",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
    )
    op.create_table(
        "ratings",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("book_id", sa.Text, primary_key=True),
        sa.Column("rating", sa.Float),
        sa.Column("rated_at", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["source", "user_id"], ["readers.source", "readers.user_id"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["source", "book_id"], ["books.source", "books.book_id"]),
    )
    op.create_index("ratings_by_book", "ratings", ["source", "book_id"])
    op.create_table(
        "model_releases",
        sa.Column("model", sa.String(128), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("decision", JSONB, nullable=False),
        sa.Column("metrics", JSONB, nullable=False),
        sa.Column("data_fingerprint", sa.Text, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
    )


def downgrade() -> None:
    for table in ("model_releases", "ratings", "readers", "books"):
        op.drop_table(table)
