"""Organisations, teams, roles, limits, rotated secrets and the audit log; each tenant of today becomes an organisation."""

import time

import sqlalchemy as sa
from alembic import op

from sluice.ids import new_id

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    alive = sa.text("deleted_at IS NULL")
    op.create_table(
        "organizations",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(63), nullable=False, unique=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("models", sa.JSON()),
        sa.Column("allowed_regions", sa.JSON()),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("id", "tenant", name="uq_organizations_id_tenant"),
    )
    op.create_index(
        "uq_organizations_name", "organizations", ["name"], unique=True, sqlite_where=alive, postgresql_where=alive
    )
    op.create_table(
        "teams",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("organization_id", sa.String(40), sa.ForeignKey("organizations.id"), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("models", sa.JSON()),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("id", "organization_id", name="uq_teams_id_organization"),
    )
    op.create_index(
        "uq_teams_name",
        "teams",
        ["organization_id", "name"],
        unique=True,
        sqlite_where=alive,
        postgresql_where=alive,
    )
    op.create_table(
        "audit_records",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("actor", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(64), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("target", sa.String(16), nullable=False),
        sa.Column("target_id", sa.String(40), nullable=False),
        sa.Column("organization_id", sa.String(40), nullable=False),
        sa.Column("before", sa.JSON()),
        sa.Column("after", sa.JSON()),
        sa.Column("request_id", sa.String(64), nullable=False),
    )
    op.create_index("ix_audit_records_at", "audit_records", ["at"])
    op.create_index("ix_audit_records_organization", "audit_records", ["organization_id", "id"])
    op.create_index("ix_audit_records_target", "audit_records", ["target_id", "id"])
    _extend_keys()
    op.create_table(
        "api_key_retired_secrets",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("key_id", sa.String(40), sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_api_key_retired_secrets_key_id", "api_key_retired_secrets", ["key_id"])
    op.create_index("ix_api_key_retired_secrets_valid_until", "api_key_retired_secrets", ["valid_until"])


def _extend_keys() -> None:
    with op.batch_alter_table("api_keys") as keys:
        keys.add_column(sa.Column("organization_id", sa.String(40)))
        keys.add_column(sa.Column("team_id", sa.String(40)))
        keys.add_column(sa.Column("role", sa.String(16), nullable=False, server_default="member"))
        keys.add_column(sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false()))
        keys.add_column(sa.Column("limits", sa.JSON(), nullable=False, server_default="{}"))
        keys.add_column(sa.Column("rotated_at", sa.BigInteger()))
    _make_organizations()
    with op.batch_alter_table("api_keys") as keys:
        keys.alter_column("organization_id", existing_type=sa.String(40), nullable=False)
        keys.create_foreign_key(
            "fk_api_keys_organization", "organizations", ["organization_id", "tenant"], ["id", "tenant"]
        )
        keys.create_foreign_key("fk_api_keys_team", "teams", ["team_id", "organization_id"], ["id", "organization_id"])
    op.create_index("ix_api_keys_organization_id", "api_keys", ["organization_id"])
    op.create_index("ix_api_keys_team_id", "api_keys", ["team_id"])


def _make_organizations() -> None:
    organizations = sa.table(
        "organizations",
        *(sa.column(name) for name in ("id", "tenant", "name", "created_at", "changed_ms")),
        sa.column("disabled", sa.Boolean()),
        *(sa.column(name, sa.JSON(none_as_null=True)) for name in ("models", "limits", "metadata")),
    )
    keys = sa.table("api_keys", *(sa.column(name) for name in ("tenant", "created_at", "organization_id")))
    connection = op.get_bind()
    tenants = connection.execute(sa.select(keys.c.tenant, sa.func.min(keys.c.created_at)).group_by(keys.c.tenant)).all()
    now_ms = time.time_ns() // 1_000_000
    for tenant, created_at in tenants:
        made = {"id": new_id("org"), "tenant": tenant, "name": tenant, "created_at": created_at, "changed_ms": now_ms}
        connection.execute(organizations.insert().values(**made, disabled=False, limits={}, metadata={}))
        connection.execute(keys.update().where(keys.c.tenant == tenant).values(organization_id=made["id"]))


def downgrade() -> None:
    op.drop_table("audit_records")
    op.drop_table("api_key_retired_secrets")
    op.drop_index("ix_api_keys_team_id", "api_keys")
    op.drop_index("ix_api_keys_organization_id", "api_keys")
    with op.batch_alter_table("api_keys") as keys:
        keys.drop_constraint("fk_api_keys_team", type_="foreignkey")
        keys.drop_constraint("fk_api_keys_organization", type_="foreignkey")
        for name in ("rotated_at", "limits", "disabled", "role", "team_id", "organization_id"):
            keys.drop_column(name)
    op.drop_table("teams")
    op.drop_table("organizations")
