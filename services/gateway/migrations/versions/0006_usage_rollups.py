"""Sums of usage by hour and day, so that a year of requests answers at once; what is recorded already is summed here."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_TEXTS = (
    ("tenant", 63),
    ("organization_id", 40),
    ("team_id", 40),
    ("key_id", 64),
    ("model", 200),
    ("deployment", 200),
    ("status", 16),
)
_COUNTS = (
    "requests",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


def upgrade() -> None:
    op.create_table(
        "usage_rollups",
        sa.Column("grain", sa.String(4), primary_key=True),
        sa.Column("starts", sa.BigInteger(), primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String(length), primary_key=True) for name, length in _TEXTS),
        sa.Column("day", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("cost_usd", sa.Float(53), nullable=False),
    )
    op.create_index("ix_usage_rollups_tenant", "usage_rollups", ["tenant", "grain", "starts"])
    hour = "FLOOR(at / 3600)" if op.get_bind().dialect.name == "postgresql" else "at / 3600"
    for grain, starts in (("day", "CAST(day AS BIGINT) * 86400"), ("hour", f"CAST({hour} AS BIGINT) * 3600")):
        op.execute(
            f"""
            INSERT INTO usage_rollups (grain, starts, tenant, organization_id, team_id, key_id, model, deployment, status,
              day, requests, errors, prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
              cost_usd)
            SELECT '{grain}', {starts}, tenant, organization_id, COALESCE(team_id, ''), key_id, model,
              COALESCE(deployment, ''), status, MIN(day), COUNT(*), SUM(CASE WHEN status = 'ok' THEN 0 ELSE 1 END),
              SUM(prompt_tokens), SUM(completion_tokens), SUM(cached_tokens), SUM(cache_write_tokens),
              SUM(reasoning_tokens), SUM(cost_usd)
            FROM usage GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
            """  # noqa: S608 - no value of a caller
        )


def downgrade() -> None:
    op.drop_table("usage_rollups")
