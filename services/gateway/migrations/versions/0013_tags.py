"""Tags: of keys, teams and organisations, of requests, and the sums of requests with a tag."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_LENGTHS = {
    "tenant": 63,
    "organization_id": 40,
    "team_id": 40,
    "key_id": 64,
    "user_type": 40,
    "model": 200,
    "deployment": 200,
    "status": 16,
    "tag": 64,
}
_COUNTS = (
    "requests",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_TAGGED = ("api_keys", "teams", "organizations", "usage")


def upgrade() -> None:
    for table in _TAGGED:
        op.add_column(table, sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"))
    op.create_table(
        "usage_tags",
        sa.Column("tag", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(63), primary_key=True),
        sa.Column("at", sa.Float(53), primary_key=True),
        sa.Column("event_id", sa.String(64), primary_key=True),
    )
    op.create_index("ix_usage_tags_event_id", "usage_tags", ["event_id"])
    op.create_table(
        "usage_tag_rollups",
        sa.Column("grain", sa.String(4), primary_key=True),
        sa.Column("starts", sa.BigInteger(), primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String(length), primary_key=True) for name, length in _LENGTHS.items()),
        sa.Column("day", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("cost_usd", sa.Float(53), nullable=False),
    )
    op.create_index("ix_usage_tag_rollups_tenant", "usage_tag_rollups", ["tenant", "tag", "grain", "starts"])


def downgrade() -> None:
    op.drop_table("usage_tag_rollups")
    op.drop_table("usage_tags")
    for table in _TAGGED:
        with op.batch_alter_table(table) as changed:
            changed.drop_column("tags")
