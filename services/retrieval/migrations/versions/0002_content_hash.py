"""The hash of what was uploaded, so that who sends a folder again can leave out what has not changed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("documents", sa.Column("sha256", sa.String(64)))


def downgrade() -> None:
    op.drop_column("documents", "sha256")
