"""The kind of user for whom requests are: of keys, in the records and in their sums."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_LENGTHS = {
    "tenant": 63,
    "organization_id": 40,
    "team_id": 40,
    "key_id": 64,
    "user_type": 40,
    "model": 200,
    "deployment": 200,
    "status": 16,
}
_COUNTS = (
    "requests",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("user_type", sa.String(40), nullable=True))
    op.add_column("usage", sa.Column("user_type", sa.String(40), nullable=True))
    _sum_again(tuple(_LENGTHS), {"user_type": "''"})


def downgrade() -> None:
    _sum_again(tuple(name for name in _LENGTHS if name != "user_type"), {})
    for table in ("usage", "api_keys"):
        with op.batch_alter_table(table) as changed:
            changed.drop_column("user_type")


def _sum_again(names: tuple[str, ...], values: dict[str, str]) -> None:
    # A table with another primary key, in which rows that it does not tell apart are one.
    op.create_table(
        "usage_rollups_remade",
        sa.Column("grain", sa.String(4), primary_key=True),
        sa.Column("starts", sa.BigInteger(), primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String(_LENGTHS[name]), primary_key=True) for name in names),
        sa.Column("day", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("cost_usd", sa.Float(53), nullable=False),
    )
    kept = ("grain", "starts", *(name for name in names if name not in values))
    sums = (*_COUNTS, "cost_usd")
    op.execute(
        f"""
        INSERT INTO usage_rollups_remade ({", ".join((*kept, *values, "day", *sums))})
        SELECT {", ".join((*kept, *values.values(), "MIN(day)", *(f"SUM({name})" for name in sums)))}
        FROM usage_rollups GROUP BY {", ".join(kept)}
        """  # noqa: S608 - no value of a caller
    )
    op.drop_table("usage_rollups")
    op.rename_table("usage_rollups_remade", "usage_rollups")
    op.create_index("ix_usage_rollups_tenant", "usage_rollups", ["tenant", "grain", "starts"])
