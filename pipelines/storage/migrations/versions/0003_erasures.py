"""Readers who were erased, and where exports lie."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

_NOW = sa.func.now()
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("library", sa.Text, nullable=False),
        sa.Column("reader_hash", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("touched", JSONB, nullable=False),
        sa.Column("asked_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("completed_at", _MOMENT),
        sa.Column("lifted_at", _MOMENT),
    )
    op.create_index(
        "erasures_in_force",
        "erasures",
        ["library", "reader_hash"],
        unique=True,
        postgresql_where=sa.text("lifted_at is null"),
    )
    op.create_table(
        "exports",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("library", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("made_at", _MOMENT, server_default=_NOW, nullable=False),
    )


def downgrade() -> None:
    for table in ("exports", "erasures"):
        op.drop_table(table)
