"""Responses in the background that have no answer yet."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.create_table(
        "background_responses",
        sa.Column("id", sa.String(64), sa.ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("tenant", sa.String(63), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("look_at", sa.Float(53), nullable=False),
    )
    op.create_index("ix_background_responses_look_at", "background_responses", ["look_at"])
    op.create_index("ix_background_responses_tenant", "background_responses", ["tenant"])
    op.create_index("ix_background_responses_lease_owner", "background_responses", ["lease_owner"])


def downgrade() -> None:
    op.drop_table("background_responses")
