"""Profiles of batches."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "data_profile",
        sa.Column("dataset", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("made_at", moment, server_default=sa.func.now(), nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("quality", JSONB, nullable=False),
        sa.Column("profile", JSONB, nullable=False),
        sa.Column("stored_at", moment),
    )
    op.create_index("data_profile_by_time", "data_profile", ["dataset", "made_at"])


def downgrade() -> None:
    op.drop_table("data_profile")
