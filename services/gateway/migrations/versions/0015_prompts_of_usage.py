"""The stored prompt that a request was asked with."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_PROMPTED = sa.text("prompt IS NOT NULL")


def upgrade() -> None:
    op.add_column("usage", sa.Column("prompt", sa.String(63), nullable=True))
    op.add_column("usage", sa.Column("prompt_version", sa.Integer(), nullable=True))
    op.create_index(
        "ix_usage_prompt",
        "usage",
        ["tenant", "prompt", "prompt_version", "at"],
        sqlite_where=_PROMPTED,
        postgresql_where=_PROMPTED,
    )


def downgrade() -> None:
    op.drop_index("ix_usage_prompt", "usage")
    with op.batch_alter_table("usage") as changed:
        changed.drop_column("prompt_version")
        changed.drop_column("prompt")
