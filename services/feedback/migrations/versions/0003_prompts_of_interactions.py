"""The version of a stored prompt that an interaction was asked with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_PROMPTED = sa.text("prompt IS NOT NULL")


def upgrade() -> None:
    op.add_column("interactions", sa.Column("prompt", sa.String(63), nullable=True))
    op.add_column("interactions", sa.Column("prompt_version", sa.Integer(), nullable=True))
    op.create_index(
        "interactions_by_prompt",
        "interactions",
        ["tenant", "prompt", "at"],
        sqlite_where=_PROMPTED,
        postgresql_where=_PROMPTED,
    )


def downgrade() -> None:
    op.drop_index("interactions_by_prompt", "interactions")
    with op.batch_alter_table("interactions") as interactions:
        interactions.drop_column("prompt_version")
        interactions.drop_column("prompt")
