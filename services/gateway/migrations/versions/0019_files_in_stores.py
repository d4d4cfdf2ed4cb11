"""Which files the retrieval service has looked at: their text may lie in vector stores, and goes with them."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_IN_STORES = ("assistants", "user_data")  # what files were for that were most likely put into vector stores


def upgrade() -> None:
    op.add_column("files", sa.Column("in_stores", sa.Boolean(), nullable=False, server_default=sa.false()))
    files = sa.table("files", sa.column("in_stores", sa.Boolean), sa.column("purpose", sa.String))
    op.execute(files.update().where(files.c.purpose.in_(_IN_STORES)).values(in_stores=True))


def downgrade() -> None:
    with op.batch_alter_table("files") as changed:
        changed.drop_column("in_stores")
