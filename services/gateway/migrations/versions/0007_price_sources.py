"""Prices that administrators set, and which price each request was charged at; without a known price its cost is null."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "price_overrides",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("model", sa.String(200), nullable=False, index=True),
        sa.Column("price", sa.JSON(), nullable=False),
        sa.Column("valid_from", sa.Float(53), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("deleted_at", sa.Float(53), nullable=True),
    )
    op.add_column("usage", sa.Column("price_source", sa.String(100), nullable=True))
    with op.batch_alter_table("usage") as usage:
        usage.alter_column("cost_usd", existing_type=sa.Float(53), nullable=True)


def downgrade() -> None:
    op.execute("UPDATE usage SET cost_usd = 0 WHERE cost_usd IS NULL")
    with op.batch_alter_table("usage") as usage:
        usage.alter_column("cost_usd", existing_type=sa.Float(53), nullable=False)
        usage.drop_column("price_source")
    op.drop_table("price_overrides")
