"""API keys and usage."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("tenant", sa.String(63), nullable=False),
        sa.Column("models", sa.JSON()),
        sa.Column("policy", sa.String(200)),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_api_keys_tenant", "api_keys", ["tenant"])
    op.create_index("ix_api_keys_changed_ms", "api_keys", ["changed_ms"])
    op.create_table(
        "api_key_creations",
        sa.Column("idempotency_digest", sa.String(64), primary_key=True),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("salt", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_api_key_creations_created_at", "api_key_creations", ["created_at"])
    op.create_table(
        "usage",
        sa.Column("event_id", sa.String(64), primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(63), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("route", sa.String(200)),
        sa.Column("deployment", sa.String(200)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("http_status", sa.SmallInteger(), nullable=False),
        sa.Column("error_code", sa.String(100)),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("tokens_exact", sa.Boolean(), nullable=False),
        sa.Column("cost_usd", sa.Float(53), nullable=False),
        sa.Column("ttft_ms", sa.Float(53)),
        sa.Column("duration_ms", sa.Float(53), nullable=False),
        sa.Column("guard_issues", sa.JSON(), nullable=False),
        sa.Column("citations", sa.Integer(), nullable=False),
        sa.Column("trace_id", sa.Text()),
    )
    op.create_index("ix_usage_request_id", "usage", ["request_id"])
    op.create_index("ix_usage_tenant_at", "usage", ["tenant", "at", "event_id"])
    op.create_index("ix_usage_key_at", "usage", ["key_id", "at"])
    op.create_index("ix_usage_at", "usage", ["at", "event_id"])


def downgrade() -> None:
    op.drop_table("usage")
    op.drop_table("api_key_creations")
    op.drop_table("api_keys")
