"""How far a document's ingestion is, so that a run goes on where a killed one ended, and when it may be begun again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("documents", sa.Column("indexed", sa.Integer))
    op.add_column("documents", sa.Column("planned", sa.Integer))
    op.add_column("documents", sa.Column("plan", sa.String(64)))
    op.add_column("documents", sa.Column("not_before", sa.Float, nullable=False, server_default="0"))
    # whatever was begun by an older release may have chunks in the index
    op.execute("UPDATE documents SET indexed = 0 WHERE status IN ('queued', 'processing') AND attempts > 0")


def downgrade() -> None:
    for column in ("not_before", "plan", "planned", "indexed"):
        op.drop_column("documents", column)
