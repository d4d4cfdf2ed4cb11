"""Which embedding model's vectors answer, and which documents have vectors of which model."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
_BUILT_IN = "minilm@384"


def upgrade() -> None:
    op.create_table(
        "embedding_spaces",
        sa.Column("id", sa.String(300), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("holder", sa.String(64), nullable=False, server_default=""),
        sa.Column("lease_until", sa.Float, nullable=False, server_default="0"),
        sa.Column("error", sa.Text),
    )
    op.add_column("documents", sa.Column("space", sa.String(300), nullable=False, server_default=_BUILT_IN))
    op.add_column("documents", sa.Column("ready_at", sa.Float, nullable=False, server_default="0"))
    # what is there was embedded by the built-in model
    op.execute(
        sa.text(
            "INSERT INTO embedding_spaces (id, status, since) SELECT :space, 'active', 0 WHERE EXISTS (SELECT 1 FROM documents)"
        ).bindparams(space=_BUILT_IN)
    )


def downgrade() -> None:
    op.drop_column("documents", "ready_at")
    op.drop_column("documents", "space")
    op.drop_table("embedding_spaces")
