"""Feedback, the outbox of its events, known interactions, and reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("interaction_id", sa.String(200), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("feedback_type", sa.String(16), nullable=False),
        sa.Column("raw", sa.Text, nullable=False),
        sa.Column("rating", sa.Integer),
        sa.Column("negative", sa.Boolean),
        sa.Column("escalate", sa.Boolean),
        sa.Column("processed", sa.JSON, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("request_digest", sa.String(64)),
        sa.UniqueConstraint("tenant", "idempotency_key", name="feedback_idempotency"),
    )
    op.create_index("feedback_by_tenant", "feedback", ["tenant", "id"])
    op.create_index("feedback_by_interaction", "feedback", ["tenant", "interaction_id", "id"])
    op.create_table(
        "outbox",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("feedback_id", sa.String(64), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_index("outbox_by_feedback", "outbox", ["feedback_id"])
    op.create_table(
        "interactions",
        sa.Column("tenant", sa.String(128), primary_key=True),
        sa.Column("interaction_id", sa.String(200), primary_key=True),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("interactions_by_time", "interactions", ["at"])
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("feedback_id", sa.String(64), nullable=False, unique=True),
        sa.Column("interaction_id", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("reviewer", sa.String(200)),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("closed_at", sa.Float),
    )
    op.create_index("reviews_by_tenant", "reviews", ["tenant", "status", "id"])


def downgrade() -> None:
    for table in ("reviews", "interactions", "outbox", "feedback"):
        op.drop_table(table)
