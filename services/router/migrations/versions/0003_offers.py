"""What providers listed last, so that a router that starts knows it before they answer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "offers",
        sa.Column("place_digest", sa.String(64), primary_key=True),
        sa.Column("place", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("offers")
