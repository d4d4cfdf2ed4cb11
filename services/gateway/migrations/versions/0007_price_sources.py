"""Which price each request was charged at; a request to a model without a known price has no cost, instead of none."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("usage", sa.Column("price_source", sa.String(100), nullable=True))
    with op.batch_alter_table("usage") as usage:
        usage.alter_column("cost_usd", existing_type=sa.Float(53), nullable=True)


def downgrade() -> None:
    op.execute("UPDATE usage SET cost_usd = 0 WHERE cost_usd IS NULL")
    with op.batch_alter_table("usage") as usage:
        usage.alter_column("cost_usd", existing_type=sa.Float(53), nullable=False)
        usage.drop_column("price_source")
