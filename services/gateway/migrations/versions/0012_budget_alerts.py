"""Alerts of budgets: which were sent."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "budget_alerts",
        sa.Column("id", sa.String(120), primary_key=True),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("budget_alerts")
