"""What a tenant keeps and has waiting is counted at each upload and batch."""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_index("ix_files_tenant_bytes", "files", ["tenant", "state", "bytes"])
    op.create_index("ix_batches_tenant_status", "batches", ["tenant", "status"])


def downgrade() -> None:
    op.drop_index("ix_batches_tenant_status", "batches")
    op.drop_index("ix_files_tenant_bytes", "files")
