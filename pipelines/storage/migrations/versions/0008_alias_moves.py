"""How the champion came to be: every move of an alias, by whom and why."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "alias_moves",
        sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("from_version", sa.Integer),
        sa.Column("to_version", sa.Integer, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("at", _MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("moved_at", _MOMENT),
    )
    op.create_index("alias_moves_by_model", "alias_moves", ["model", "alias", "number"])


def downgrade() -> None:
    op.drop_table("alias_moves")
