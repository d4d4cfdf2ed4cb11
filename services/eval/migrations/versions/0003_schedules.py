"""Suites that run by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "eval_schedules",
        sa.Column("suite_id", sa.String(64), sa.ForeignKey("eval_suites.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("every_s", sa.Integer, nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("api_key_id", sa.String(64), nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("last_run_id", sa.String(64)),
    )
    op.create_index("eval_schedules_by_time", "eval_schedules", ["next_at"])


def downgrade() -> None:
    op.drop_table("eval_schedules")
