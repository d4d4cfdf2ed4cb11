"""The audit log: every change, who made it, and what it changed."""

import time

import httpx
import pytest
from tests.integration.gateway.admin.asking import Admin
from tests.integration.gateway.control_plane import Gateway

from sluice.testing import admin_headers

pytestmark = pytest.mark.integration


@pytest.fixture
def admin(gateway: Gateway) -> Admin:
    return Admin(gateway.client)


async def test_every_change_leaves_one_record_and_a_refused_or_empty_one_none(admin: Admin) -> None:
    acme = await admin.organization("acme")
    team = await admin.team(acme, "search")
    key = await admin.key(team_id=team["id"])
    organization_path, team_path, key_path = (
        f"/admin/organizations/{acme['id']}",
        f"/admin/teams/{team['id']}",
        f"/admin/keys/{key['id']}",
    )
    await admin.ask("PATCH", organization_path, 200, {"limits": {"budget_per_day_usd": 5}})
    await admin.ask("PATCH", team_path, 200, {"models": ["a"]})
    await admin.ask("PATCH", key_path, 200, {"name": "new"})
    await admin.ask("POST", f"{key_path}/rotate", 200, {"grace_s": 60})
    await admin.ask("DELETE", key_path, 200)
    await admin.ask("DELETE", key_path, 200)
    await admin.ask("PATCH", team_path, 200, {"models": ["a"]})
    await admin.ask("PATCH", key_path, 409, {"name": "x"})
    await admin.ask("POST", "/admin/organizations", 409, {"name": "acme"})
    await admin.ask("DELETE", team_path, 200)
    await admin.ask("DELETE", organization_path, 200)
    records = (await admin.ask("GET", "/admin/audit", 200, limit=100))["data"]
    assert sorted((record["target"], record["action"]) for record in records) == [
        ("api_key", "change"),
        ("api_key", "create"),
        ("api_key", "revoke"),
        ("api_key", "rotate"),
        ("organization", "change"),
        ("organization", "create"),
        ("organization", "delete"),
        ("team", "change"),
        ("team", "create"),
        ("team", "delete"),
    ]
    found = {(record["target"], record["action"]): record for record in records}
    changed = found["organization", "change"]
    assert changed["before"]["limits"]["budget_per_day_usd"] is None
    assert changed["after"]["limits"]["budget_per_day_usd"] == 5
    assert (found["team", "change"]["before"], found["team", "change"]["after"]) == (
        {"models": None},
        {"models": ["a"]},
    )
    assert set(found["api_key", "rotate"]["after"]) == {"prefix", "rotated_at"}
    assert found["api_key", "create"]["after"]["team_id"] == team["id"]
    assert {record["organization_id"] for record in records} == {acme["id"]}
    one = await admin.ask("GET", f"/admin/audit/{changed['id']}", 200)
    assert one == changed
    assert (await admin.ask("GET", "/admin/audit/aud_0", 404))["code"] == "audit_record_not_found"


async def test_a_record_names_its_request_and_holds_no_secret(gateway: Gateway, admin: Admin) -> None:
    answer: httpx.Response = await gateway.client.post(
        "/admin/keys", json={"name": "k"}, headers={**admin_headers(), "x-request-id": "my-request-1"}
    )
    rotated = await admin.ask("POST", f"/admin/keys/{answer.json()['id']}/rotate", 200)
    listed = await gateway.client.get("/admin/audit", headers=admin_headers())
    record = listed.json()["data"][-1]
    assert {entry["request_id"] for entry in listed.json()["data"]} >= {"my-request-1"}
    assert (record["actor"], record["actor_id"]) == ("administrator", "admin")
    assert abs(record["at"] - time.time()) < 60
    for secret in (answer.json()["key"], rotated["key"]):
        assert secret[13:] not in listed.text
    stored = await gateway.deps.key_store.get(answer.json()["id"])
    assert stored.digest.hex() not in listed.text


async def test_records_are_filtered_and_paged(admin: Admin) -> None:
    acme, other = await admin.organization("acme"), await admin.organization("other")
    keys = [await admin.key(organization_id=acme["id"]) for _ in range(4)]
    own = admin.with_key((await admin.key(organization_id=acme["id"], role="admin"))["key"])
    await own.ask("DELETE", f"/admin/keys/{keys[0]['id']}", 200)

    async def count(**query: object) -> int:
        return len((await admin.ask("GET", "/admin/audit", 200, limit=100, **query))["data"])

    assert await count(organization_id=other["id"]) == 1
    assert await count(target="api_key", action="create") == 5
    assert await count(target_id=keys[0]["id"]) == 2
    assert await count(actor_id="admin") == await count() - 1
    assert await count(**{"from": time.time() + 10}) == 0
    assert await count(to=time.time() + 10) == await count()
    first = await admin.ask("GET", "/admin/audit", 200, limit=3, order="asc")
    rest = await admin.ask("GET", "/admin/audit", 200, limit=100, order="asc", after=first["last_id"])
    every = await admin.ask("GET", "/admin/audit", 200, limit=100, order="asc")
    assert first["data"] + rest["data"] == every["data"]
