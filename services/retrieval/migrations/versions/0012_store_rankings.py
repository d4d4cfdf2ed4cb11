"""How each store compares vectors and weighs words."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("vector_stores", sa.Column("metric", sa.String(16), nullable=False, server_default="cosine"))
    op.add_column("vector_stores", sa.Column("keywords", sa.String(16), nullable=False, server_default="bm25"))


def downgrade() -> None:
    op.drop_column("vector_stores", "keywords")
    op.drop_column("vector_stores", "metric")
