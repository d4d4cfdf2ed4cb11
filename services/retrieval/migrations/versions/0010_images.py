"""What is kept of a document that is an image."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "document_images",
        sa.Column("document_id", sa.String(64), sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(16), nullable=False),
        sa.Column("thumbnail", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("document_images")
