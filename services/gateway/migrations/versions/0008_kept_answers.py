"""Kept answers: the third level of the cache, and what of it counts no more."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "answers",
        sa.Column("key", sa.LargeBinary(20), primary_key=True),
        sa.Column("tenant", sa.String(63), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("stored_at", sa.Float(53), nullable=False),
        sa.Column("ends", sa.Float(53), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_answers_stored_at", "answers", ["stored_at", "size"])
    op.create_index("ix_answers_ends", "answers", ["ends"])
    op.create_index("ix_answers_tenant", "answers", ["tenant"])
    op.create_table(
        "forgotten_answers",
        sa.Column("scope", sa.String(220), primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("forgotten_answers")
    op.drop_table("answers")
