"""Transcripts: what was asked and answered, where a policy keeps it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "transcripts",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
        sa.Column("tenant", sa.String(63), nullable=False),
        sa.Column("organization_id", sa.String(40), nullable=False),
        sa.Column("team_id", sa.String(40), nullable=True),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("end_user", sa.String(128), nullable=True),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("http_status", sa.SmallInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("redacted", sa.Boolean(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
    )
    op.create_index("ix_transcripts_tenant_at", "transcripts", ["tenant", "at", "id"])
    op.create_index("ix_transcripts_at", "transcripts", ["at", "id"])
    op.create_index("ix_transcripts_request_id", "transcripts", ["request_id"])
    op.create_index("ix_transcripts_expires_at", "transcripts", ["expires_at"])


def downgrade() -> None:
    op.drop_table("transcripts")
