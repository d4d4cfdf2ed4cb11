"""Splits of requests between the versions of a prompt, and their changes."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("prompts", sa.Column("split", sa.Text(), nullable=True))
    op.add_column("prompts", sa.Column("split_began_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "prompt_split_changes",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("prompt_id", sa.String(40), sa.ForeignKey("prompts.id"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
    )
    op.create_index("ix_prompt_split_changes_prompt_id", "prompt_split_changes", ["prompt_id"])


def downgrade() -> None:
    op.drop_table("prompt_split_changes")
    with op.batch_alter_table("prompts") as changed:
        changed.drop_column("split_began_at")
        changed.drop_column("split")
