"""Trained classifiers, so that all routers use the same and none needs a folder of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "classifiers",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("trained_at", sa.Float, nullable=False),
        sa.Column("trained_by", sa.String(200), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("classifiers")
