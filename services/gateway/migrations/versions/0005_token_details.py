"""Who else a request was for, and the kinds of tokens that have a price of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_COUNTS = (
    "cached_tokens",
    "cache_write_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
)


def upgrade() -> None:
    op.add_column("usage", sa.Column("organization_id", sa.String(40), nullable=False, server_default=""))
    op.add_column("usage", sa.Column("team_id", sa.String(40), nullable=True))
    op.add_column("usage", sa.Column("end_user", sa.String(128), nullable=True))
    for name in _COUNTS:
        op.add_column("usage", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("usage") as usage:
        for name in (*_COUNTS, "end_user", "team_id", "organization_id"):
            usage.drop_column(name)
