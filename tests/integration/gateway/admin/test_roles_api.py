"""What admin, member and read-only keys may do, and that an organisation's admin key never meets another organisation."""

from typing import Any, NamedTuple

import pytest
from tests.integration.gateway.admin.asking import Admin
from tests.integration.gateway.control_plane import Gateway, snapshot

from sluice.testing import service_headers

pytestmark = pytest.mark.integration


class Pair(NamedTuple):
    """Two organisations with a team and a key each, and the admin key of the first."""

    root: Admin
    own: Admin
    acme: dict[str, Any]
    other: dict[str, Any]
    acme_team: dict[str, Any]
    other_team: dict[str, Any]
    acme_key: dict[str, Any]
    other_key: dict[str, Any]
    admin_key: dict[str, Any]


@pytest.fixture
async def pair(gateway: Gateway) -> Pair:
    root = Admin(gateway.client)
    acme, other = await root.organization("acme"), await root.organization("other")
    teams = await root.team(acme, "search"), await root.team(other, "search")
    keys = await root.key(team_id=teams[0]["id"]), await root.key(team_id=teams[1]["id"])
    admin_key = await root.key(organization_id=acme["id"], role="admin")
    return Pair(root, root.with_key(admin_key["key"]), acme, other, *teams, *keys, admin_key)


async def test_a_read_only_key_reads_models_and_usage_and_nothing_else(gateway: Gateway) -> None:
    root = Admin(gateway.client)
    gateway.deps.routing.offer(snapshot())
    reader = await root.key(role="read_only")
    headers = {"authorization": f"Bearer {reader['key']}"}
    for path in ("/v1/models", "/v1/models/mock", "/v1/usage"):
        assert (await gateway.client.get(path, headers=headers)).status_code == 200, path
    question = {"model": "mock", "messages": [{"role": "user", "content": "hi"}], "input": "hi", "prompt": "hi"}
    for method, path in (
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/vector_stores"),
        ("POST", "/v1/context"),
        ("GET", "/v1/files"),
        ("GET", "/v1/fine_tuning/jobs"),
        ("GET", "/v1/evals/runs"),
        ("POST", "/v1/feedback"),
    ):
        answer = await gateway.client.request(method, path, json=question, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "role_not_permitted"), path
        assert "read-only" in answer.json()["error"]["message"]
    assert (await root.with_key(reader["key"]).ask("GET", "/admin/keys", 403))["code"] == "forbidden"
    await root.ask("PATCH", f"/admin/keys/{reader['id']}", 200, {"role": "member"})
    answer = await gateway.client.post("/v1/chat/completions", json={}, headers=headers)
    assert answer.status_code == 400


async def test_a_member_key_administers_nothing(pair: Pair) -> None:
    member = pair.root.with_key(pair.acme_key["key"])
    for path in ("organizations", "teams", "keys", "audit", "usage", "usage/summary"):
        refused = await member.ask("GET", f"/admin/{path}", 403)
        assert "member" in refused["detail"], path


async def test_a_service_reads_usage_of_its_tenant_and_administers_nothing(pair: Pair) -> None:
    service = Admin(pair.root.client, service_headers("gateway", "acme"))
    await service.ask("GET", "/admin/usage", 200)
    for path in ("organizations", "teams", "keys", "audit"):
        await service.ask("GET", f"/admin/{path}", 403)


async def test_an_admin_key_runs_its_own_organisation(pair: Pair) -> None:
    own, acme = pair.own, pair.acme["id"]
    team = await own.ask("POST", "/admin/teams", 201, {"name": "ads", "limits": {"max_concurrent": 1}})
    assert team["organization_id"] == acme
    key = await own.ask("POST", "/admin/keys", 201, {"name": "k", "team_id": team["id"]})
    assert (key["tenant"], key["organization_id"]) == ("acme", acme)
    plain = await own.ask("POST", "/admin/keys", 201, {"name": "plain"})
    assert plain["organization_id"] == acme
    path = f"/admin/keys/{key['id']}"
    await own.ask("PATCH", path, 200, {"disabled": True})
    await own.ask("POST", f"{path}/rotate", 200)
    await own.ask("DELETE", path, 200)
    await own.ask("DELETE", f"/admin/teams/{team['id']}", 200)
    await own.ask("GET", "/admin/usage", 200)
    records = (await own.ask("GET", "/admin/audit", 200))["data"]
    assert {record["organization_id"] for record in records} == {acme}
    assert {record["actor"] for record in records[:4]} == {"api_key"}
    assert {record["actor_id"] for record in records[:4]} == {pair.admin_key["id"]}


async def test_an_admin_key_does_not_see_another_organisation(pair: Pair) -> None:
    own = pair.own
    foreign = {pair.other["id"], pair.other_team["id"], pair.other_key["id"]}
    for path in ("organizations", "teams", "keys", "audit"):
        listed = await own.ask("GET", f"/admin/{path}", 200, limit=100)
        assert listed["data"]
        assert not any(identifier in str(listed) for identifier in foreign), path
    for path in ("teams", "keys", "audit"):
        await own.ask("GET", f"/admin/{path}", 404, organization_id=pair.other["id"])
    assert (await own.ask("GET", "/admin/keys", 200, tenant="other"))["data"] == []
    assert (await own.ask("GET", "/admin/keys", 200, team_id=pair.other_team["id"]))["data"] == []
    record = (await pair.root.ask("GET", "/admin/audit", 200, organization_id=pair.other["id"]))["data"][0]
    await own.ask("GET", f"/admin/audit/{record['id']}", 404)
    for method, path, body in (
        ("GET", f"/admin/organizations/{pair.other['id']}", None),
        ("GET", f"/admin/teams/{pair.other_team['id']}", None),
        ("PATCH", f"/admin/teams/{pair.other_team['id']}", {"disabled": True}),
        ("DELETE", f"/admin/teams/{pair.other_team['id']}", None),
        ("GET", f"/admin/keys/{pair.other_key['id']}", None),
        ("PATCH", f"/admin/keys/{pair.other_key['id']}", {"disabled": True}),
        ("POST", f"/admin/keys/{pair.other_key['id']}/rotate", {}),
        ("DELETE", f"/admin/keys/{pair.other_key['id']}", None),
        ("POST", "/admin/teams", {"name": "x", "organization_id": pair.other["id"]}),
        ("POST", "/admin/keys", {"name": "x", "team_id": pair.other_team["id"]}),
        ("PATCH", f"/admin/keys/{pair.acme_key['id']}", {"team_id": pair.other_team["id"]}),
    ):
        await own.ask(method, path, 404, body)
    for body in ({"organization_id": pair.other["id"]}, {"tenant": "other"}, {"tenant": "new"}):
        assert (await own.ask("POST", "/admin/keys", 422, {"name": "x", **body}))["code"] == "placement_refused"
    assert await pair.root.works(pair.other_key["key"]) == 200


async def test_an_admin_key_cannot_lift_what_the_platform_set(pair: Pair) -> None:
    path = f"/admin/organizations/{pair.acme['id']}"
    assert (await pair.own.ask("GET", path, 200))["id"] == pair.acme["id"]
    for method, target, body in (
        ("PATCH", path, {"limits": None}),
        ("PATCH", path, {"disabled": False}),
        ("DELETE", path, None),
        ("POST", "/admin/organizations", {"name": "x"}),
        ("POST", "/admin/keys", {"name": "x", "policy": "open"}),
        ("PATCH", f"/admin/keys/{pair.acme_key['id']}", {"policy": "open"}),
        ("PATCH", f"/admin/keys/{pair.acme_key['id']}", {"policy": None}),
        ("POST", "/admin/teams", {"name": "x", "policy": "open"}),
    ):
        assert (await pair.own.ask(method, target, 403, body))["code"] == "forbidden"


async def test_a_disabled_organisation_has_no_admin_any_more(pair: Pair) -> None:
    await pair.root.ask("PATCH", f"/admin/organizations/{pair.acme['id']}", 200, {"disabled": True})
    assert "disabled" in (await pair.own.ask("GET", "/admin/keys", 401))["detail"]


async def test_the_same_idempotency_key_in_two_organisations_makes_two_keys(pair: Pair) -> None:
    other_admin = await pair.root.key(organization_id=pair.other["id"], role="admin")
    answers = []
    for admin in (pair.own, pair.root.with_key(other_admin["key"]), pair.root, pair.own):
        headers = {**admin.headers, "idempotency-key": "deploy-2031-01"}
        answer = await admin.client.post("/admin/keys", json={"name": "ci"}, headers=headers)
        assert answer.status_code == 201
        answers.append(answer.json())
    assert [key["tenant"] for key in answers] == ["acme", "other", "default", "acme"]
    assert len({key["key"] for key in answers}) == 3
    assert answers[3] == answers[0]
