"""Which run of a gateway process answered a request, so that what a killed one held of a budget can be replaced by what it spent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("usage", sa.Column("life", sa.String(32), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("usage") as usage:
        usage.drop_column("life")
