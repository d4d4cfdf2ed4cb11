"""Documents that are files of the gateway, batches of them, and stores that expire."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("documents", sa.Column("file_id", sa.String(64)))
    op.add_column("documents", sa.Column("batch_id", sa.String(64)))
    op.add_column("documents", sa.Column("chunking", sa.JSON))
    op.create_index("documents_by_file", "documents", ["store_id", "file_id"])
    op.create_index("documents_by_batch", "documents", ["batch_id"])
    op.add_column("vector_stores", sa.Column("expires_days", sa.Integer))
    op.add_column("vector_stores", sa.Column("last_active_at", sa.Float, nullable=False, server_default="0"))
    op.execute("UPDATE vector_stores SET last_active_at = created_at")
    op.create_table(
        "file_batches",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("store_id", sa.String(64), sa.ForeignKey("vector_stores.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("file_batches")
    op.drop_column("vector_stores", "last_active_at")
    op.drop_column("vector_stores", "expires_days")
    op.drop_index("documents_by_batch", "documents")
    op.drop_index("documents_by_file", "documents")
    for column in ("chunking", "batch_id", "file_id"):
        op.drop_column("documents", column)
