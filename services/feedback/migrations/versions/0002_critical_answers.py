"""Reviews of critical answers, which no feedback led to; what a person decided."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("reviews") as reviews:
        reviews.alter_column("feedback_id", existing_type=sa.String(64), nullable=True)
        reviews.add_column(sa.Column("issues", sa.JSON))
        reviews.add_column(sa.Column("decision", sa.String(16)))
        reviews.add_column(sa.Column("cause", sa.String(32)))
    only = sa.text("feedback_id IS NULL")
    op.create_index(
        "reviews_of_answers",
        "reviews",
        ["tenant", "interaction_id"],
        unique=True,
        sqlite_where=only,
        postgresql_where=only,
    )


def downgrade() -> None:
    op.execute("DELETE FROM reviews WHERE feedback_id IS NULL")
    op.drop_index("reviews_of_answers", "reviews")
    with op.batch_alter_table("reviews") as reviews:
        for column in ("issues", "decision", "cause"):
            reviews.drop_column(column)
        reviews.alter_column("feedback_id", existing_type=sa.String(64), nullable=False)
