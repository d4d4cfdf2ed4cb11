"""On behalf of which API key a run asks the gateway. Runs from before have none: those that ended stay as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("eval_runs", sa.Column("api_key_id", sa.String(64)))


def downgrade() -> None:
    op.drop_column("eval_runs", "api_key_id")
