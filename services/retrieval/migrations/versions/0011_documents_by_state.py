"""An index by which a search finds the documents of a store that match its filter or are being ingested, and reads no others."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_index("documents_by_state", "documents", ["tenant", "store_id", "status", "id"])


def downgrade() -> None:
    op.drop_index("documents_by_state", "documents")
