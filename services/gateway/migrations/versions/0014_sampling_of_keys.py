"""What keys, teams and organisations say of sampling, and their default model."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_TABLES = ("api_keys", "teams", "organizations")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("sampling", sa.JSON(), nullable=True))
        op.add_column(table, sa.Column("default_model", sa.String(200), nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        with op.batch_alter_table(table) as changed:
            changed.drop_column("default_model")
            changed.drop_column("sampling")
