"""What a store does with questions before it is searched."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("vector_stores", sa.Column("understand", sa.JSON))


def downgrade() -> None:
    op.drop_column("vector_stores", "understand")
