"""Keys that were made before there were organisations go on working after the migration, on SQLite and PostgreSQL."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.integration.gateway.admin.asking import Admin
from tests.integration.gateway.control_plane import running_gateway

from sluice.db import open_database
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice_gateway.domain.keys import digest_of
from sluice_gateway.settings import Settings
from sluice_gateway.wiring import MIGRATIONS, pepper_of

pytestmark = pytest.mark.integration
OLD = (("key_1", "acme", "sk-slc-one", None), ("key_2", "acme", "sk-slc-two", 5), ("key_3", "beta", "sk-slc-six", None))


async def test_each_tenant_of_before_becomes_an_organisation_and_its_keys_work(platform: PlatformSettings) -> None:
    await upgrade(platform, "gateway", MIGRATIONS, "0001")
    pepper = pepper_of(platform, Settings(_env_file=None))
    database = open_database(platform, "gateway")
    statement = text(
        "INSERT INTO api_keys (id, digest, prefix, name, tenant, models, metadata, created_at, revoked_at, changed_ms) "
        "VALUES (:id, :digest, 'sk-slc-', 'old', :tenant, '[\"mock\"]', '{\"a\": \"b\"}', 7, :revoked_at, 7000)"
    )
    async with database.write() as session:
        for key_id, tenant, secret, revoked_at in OLD:
            values = {"id": key_id, "digest": digest_of(pepper, secret.encode()), "tenant": tenant}
            await session.execute(statement, {**values, "revoked_at": revoked_at})
    await database.close()

    async with running_gateway(platform) as gateway:
        admin = Admin(gateway.client)
        assert [await admin.works(secret) for _, _, secret, _ in OLD] == [200, 401, 200]
        organizations = (await admin.ask("GET", "/admin/organizations", 200))["data"]
        assert sorted((row["name"], row["tenant"], row["created_at"]) for row in organizations) == [
            ("acme", "acme", 7),
            ("beta", "beta", 7),
        ]
        by_tenant = {row["tenant"]: row["id"] for row in organizations}
        for key_id, tenant, _, _ in OLD:
            key = await admin.ask("GET", f"/admin/keys/{key_id}", 200)
            assert (key["organization_id"], key["tenant"], key["role"]) == (by_tenant[tenant], tenant, "member")
            assert (key["models"], key["metadata"], key["disabled"]) == (["mock"], {"a": "b"}, False)
        assert (await admin.key(tenant="acme"))["organization_id"] == by_tenant["acme"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE api_keys SET tenant = 'beta' WHERE id = :key",
        "UPDATE api_keys SET organization_id = :beta WHERE id = :key",
        "UPDATE api_keys SET team_id = :beta_team WHERE id = :key",
        "UPDATE api_keys SET digest = (SELECT digest FROM api_keys WHERE id <> :key LIMIT 1) WHERE id = :key",
        "UPDATE organizations SET tenant = 'gamma' WHERE tenant = 'acme'",
        "UPDATE organizations SET tenant = 'acme' WHERE id = :beta",
        "DELETE FROM organizations WHERE tenant = 'acme'",
    ],
)
async def test_the_database_itself_refuses_to_mix_tenants(platform: PlatformSettings, statement: str) -> None:
    async with running_gateway(platform) as gateway:
        admin = Admin(gateway.client)
        acme, beta = await admin.organization("acme"), await admin.organization("beta")
        beta_team = await admin.team(beta, "search")
        key = await admin.key(organization_id=acme["id"])
        await admin.key(organization_id=acme["id"])
        database = open_database(platform, "gateway")
        names = {"key": key["id"], "beta": beta["id"], "beta_team": beta_team["id"]}
        with pytest.raises(IntegrityError):
            async with database.write() as session:
                await session.execute(text(statement), {name: names[name] for name in names if f":{name}" in statement})
        await database.close()
