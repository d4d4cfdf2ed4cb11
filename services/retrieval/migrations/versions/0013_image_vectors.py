"""Which images have vectors of their looks, and whether a store lets a model describe images."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("document_images", sa.Column("space", sa.String(300), nullable=False, server_default=""))
    op.add_column("vector_stores", sa.Column("captions", sa.Boolean, nullable=False, server_default=sa.true()))


def downgrade() -> None:
    op.drop_column("vector_stores", "captions")
    op.drop_column("document_images", "space")
