"""Recordings until they are read, and what models heard and saw in their parts."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def _document() -> sa.Column[str]:
    return sa.Column("document_id", sa.String(64), sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)


def upgrade() -> None:
    op.add_column("documents", sa.Column("transcribed_s", sa.Float, nullable=True))
    op.create_table(
        "document_recordings",
        _document(),
        sa.Column("filename", sa.String(500), nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "document_recording_parts",
        _document(),
        sa.Column("seen", sa.Boolean, primary_key=True),
        sa.Column("start_s", sa.Float, primary_key=True),
        sa.Column("until_s", sa.Float, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("lines", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("document_recording_parts")
    op.drop_table("document_recordings")
    op.drop_column("documents", "transcribed_s")
