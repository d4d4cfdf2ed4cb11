"""Policies that teams and organisations have their keys follow."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_TABLES = ("teams", "organizations")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("policy", sa.String(200), nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        with op.batch_alter_table(table) as changed:
            changed.drop_column("policy")
