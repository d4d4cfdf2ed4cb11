"""By which languages a store's texts are stemmed; documents that were all stemmed as English are looked at again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("vector_stores", sa.Column("languages", sa.String(400), nullable=False, server_default="en"))
    op.add_column("documents", sa.Column("stems", sa.Integer, nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("documents", "stems")
    op.drop_column("vector_stores", "languages")
