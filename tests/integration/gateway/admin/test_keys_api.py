import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.integration.gateway.control_plane import Gateway, running_gateway, snapshot

from sluice.contracts.gateway import ApiKey, CreatedApiKey
from sluice.contracts.paging import Page
from sluice.contracts.routing import SNAPSHOT_KEY
from sluice.contracts.sampling import SamplingPolicy
from sluice.migrations import upgrade
from sluice.queues import KEYS_CHANGED, ROUTING_CHANGED, RoutingChanged, publish
from sluice.settings import PlatformSettings
from sluice.testing import admin_headers, redis_at, service_headers
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.wiring import MIGRATIONS

pytestmark = pytest.mark.integration


def bearer(key: str) -> bytes:
    return f"Bearer {key}".encode()


async def made(gateway: Gateway, **body: Any) -> CreatedApiKey:
    answer = await gateway.client.post("/admin/keys", json={"name": "ci", **body}, headers=admin_headers())
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return CreatedApiKey.model_validate_json(answer.content)


async def test_a_key_is_shown_once_and_stored_as_a_digest(gateway: Gateway, platform: PlatformSettings) -> None:
    created = await made(gateway, tenant="acme", models=["mock"], metadata={"team": "search"}, expires_at=4_000_000_000)
    assert created.key.startswith(created.prefix)
    assert created.status == "active"
    read = await gateway.client.get(f"/admin/keys/{created.id}", headers=admin_headers())
    assert ApiKey.model_validate_json(read.content) == ApiKey(**created.model_dump(exclude={"key"}))
    assert created.key not in read.text
    stored = await gateway.deps.key_store.get(created.id)
    assert created.key.encode() not in stored.digest
    if not platform.database_url:
        files = [path.read_bytes() for path in platform.data_dir.glob("gateway.sqlite*")]
        assert files
        assert not any(created.key[13:].encode() in content for content in files)


async def test_a_key_that_would_have_expired_already_is_not_made(gateway: Gateway) -> None:
    body = {"name": "late", "expires_at": int(time.time()) - 1}
    answer = await gateway.client.post("/admin/keys", json=body, headers=admin_headers())
    assert (answer.status_code, answer.json()["code"]) == (422, "expiry_past")


async def test_a_key_names_the_kind_of_user_for_whom_it_asks(platform: PlatformSettings) -> None:
    async with running_gateway(platform, user_types=("free", "pro")) as gateway:
        created = await made(gateway, tenant="acme", user_type="pro")
        assert created.user_type == "pro"
        record = gateway.deps.ring.lookup(bearer(created.key))
        assert record is not None
        assert record.user_type == "pro"
        path = f"/admin/keys/{created.id}"
        for body, status, found in (({"user_type": "gold"}, 422, None), ({"user_type": "free"}, 200, "free")):
            answer = await gateway.client.patch(path, json=body, headers=admin_headers())
            assert (answer.status_code, answer.json().get("user_type")) == (status, found), answer.text
        assert (await gateway.client.patch(path, json={"user_type": None}, headers=admin_headers())).json()[
            "user_type"
        ] is None


async def test_tags_of_organisation_team_and_key_are_those_of_its_requests(gateway: Gateway) -> None:
    async def post(path: str, **body: Any) -> dict[str, Any]:
        answer = await gateway.client.post(f"/admin/{path}", json=body, headers=admin_headers())
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    organization = await post("organizations", name="tagged", tags=["cost:42"])
    team = await post("teams", name="search", organization_id=organization["id"], tags=["search", "search"])
    assert team["tags"] == ["search"]
    created = await made(gateway, team_id=team["id"], tags=["ci", "cost:42"])
    assert created.tags == ("ci", "cost:42")
    record = gateway.deps.ring.lookup(bearer(created.key))
    assert record is not None
    assert record.tags == ("cost:42", "search", "ci")
    path = f"/admin/keys/{created.id}"
    for body, status in (({"tags": ["a,b"]}, 422), ({"tags": [f"t{n}" for n in range(11)]}, 422), ({"tags": []}, 200)):
        answer = await gateway.client.patch(path, json=body, headers=admin_headers())
        assert answer.status_code == status, answer.text
    record = gateway.deps.ring.lookup(bearer(created.key))
    assert record is not None
    assert record.tags == ("cost:42", "search")


async def test_sampling_and_default_model_of_a_key_go_with_those_of_its_team(gateway: Gateway) -> None:
    teams = {"name": "drawn", "sampling": {"max_tokens": 300, "temperature": 0.6}, "default_model": "mock"}
    organization = await gateway.client.post("/admin/organizations", json={"name": "draw"}, headers=admin_headers())
    teams["organization_id"] = organization.json()["id"]
    team = await gateway.client.post("/admin/teams", json=teams, headers=admin_headers())
    assert team.status_code == 201, team.text
    created = await made(gateway, team_id=team.json()["id"], sampling={"preset": "greedy", "max_tokens": 900})
    path = f"/admin/keys/{created.id}"

    def record() -> KeyRecord:
        found = gateway.deps.ring.lookup(bearer(created.key))
        assert found is not None
        return found

    assert record().sampling == SamplingPolicy(preset="greedy", max_tokens=300)
    assert record().default_model == "mock"
    wrong: tuple[dict[str, Any], ...] = ({"min_top_p": 0.9, "max_top_p": 0.5}, {"temperatur": 1}, {"temperature": 3})
    for sampling in wrong:
        answer = await gateway.client.patch(path, json={"sampling": sampling}, headers=admin_headers())
        assert answer.status_code == 422, answer.text
    changed = {"sampling": None, "default_model": "other"}
    answer = await gateway.client.patch(path, json=changed, headers=admin_headers())
    assert changed.items() <= answer.json().items()
    assert record().sampling == SamplingPolicy(max_tokens=300, temperature=0.6)
    assert record().default_model == "other"


async def test_a_new_key_works_at_once_and_a_revoked_one_never_again(gateway: Gateway) -> None:
    created = await made(gateway, tenant="acme")
    own = {"authorization": f"Bearer {created.key}"}
    assert (await gateway.client.get("/v1/usage", headers=own)).status_code == 200
    for _ in range(2):
        revoked = await gateway.client.delete(f"/admin/keys/{created.id}", headers=admin_headers())
        assert revoked.status_code == 200
        assert revoked.json()["status"] == "revoked"
    refused = await gateway.client.get("/v1/usage", headers=own)
    assert refused.status_code == 401
    assert refused.json()["error"]["type"] == "authentication_error"
    changed = await gateway.client.patch(f"/admin/keys/{created.id}", json={"name": "x"}, headers=admin_headers())
    assert (changed.status_code, changed.json()["code"]) == (409, "api_key_revoked")


async def test_a_change_touches_only_what_is_given_and_null_takes_a_limit_away(gateway: Gateway) -> None:
    created = await made(gateway, models=["a"], expires_at=4_000_000_000, metadata={"a": "b"})
    one = await gateway.client.patch(f"/admin/keys/{created.id}", json={"models": None}, headers=admin_headers())
    assert one.status_code == 200
    assert (one.json()["models"], one.json()["expires_at"], one.json()["metadata"]) == (None, 4_000_000_000, {"a": "b"})
    two = await gateway.client.patch(
        f"/admin/keys/{created.id}", json={"expires_at": 1, "name": "new"}, headers=admin_headers()
    )
    assert (two.json()["status"], two.json()["name"]) == ("expired", "new")
    refused = await gateway.client.get("/v1/usage", headers={"authorization": f"Bearer {created.key}"})
    assert refused.status_code == 401


async def test_keys_are_listed_newest_first_page_by_page_and_by_tenant(gateway: Gateway) -> None:
    ids = []
    for number in range(7):
        ids.append((await made(gateway, name=f"k{number}", tenant="even" if number % 2 == 0 else "odd")).id)
        await asyncio.sleep(0.002)
    pages: list[Page[ApiKey]] = []
    after: str | None = None
    while not pages or pages[-1].has_more:
        answer = await gateway.client.get(
            "/admin/keys", params={"limit": 3} | ({"after": after} if after else {}), headers=admin_headers()
        )
        pages.append(TypeAdapter(Page[ApiKey]).validate_json(answer.content))
        after = pages[-1].last_id
    assert [key.id for page in pages for key in page.data] == ids[::-1]
    assert [len(page.data) for page in pages] == [3, 3, 1]
    odd = await gateway.client.get("/admin/keys", params={"tenant": "odd", "order": "asc"}, headers=admin_headers())
    assert [key["id"] for key in odd.json()["data"]] == ids[1::2]


async def test_an_idempotency_key_makes_one_key_and_answers_it_again(gateway: Gateway) -> None:
    headers = {**admin_headers(), "idempotency-key": "deploy-2031-01"}
    answers = await asyncio.gather(
        *(gateway.client.post("/admin/keys", json={"name": "once"}, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["key"] for answer in answers}) == 1
    assert sum(answer.headers.get("idempotent-replayed") == "true" for answer in answers) == 4
    assert gateway.deps.ring.lookup(bearer(answers[0].json()["key"])) is not None
    listed = await gateway.client.get("/admin/keys", headers=admin_headers())
    assert len(listed.json()["data"]) == 1
    other = await gateway.client.post("/admin/keys", json={"name": "twice"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_only_the_administrator_may_see_or_make_keys(gateway: Gateway) -> None:
    created = await made(gateway)
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer wrong-key"}, 401),
        ({"authorization": "Bearer sk-slc-unknown"}, 401),
        ({"authorization": f"Bearer {created.key}"}, 403),
        (service_headers("gateway", role="member"), 403),
        (service_headers("gateway"), 403),
        (service_headers("router"), 401),
    ):
        for method, path in (("GET", "/admin/keys"), ("POST", "/admin/keys"), ("DELETE", f"/admin/keys/{created.id}")):
            answer = await gateway.client.request(method, path, headers=headers)
            assert answer.status_code == status, (method, path, headers)
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\x00b"},
        {"name": "x", "tenant": "Not A Tenant"},
        {"name": "x", "models": []},
        {"name": "x", "models": "mock"},
        {"name": "x", "expires_at": -1},
        {"name": "x", "metadata": {"k": 5}},
        {"name": "x", "unknown": True},
    ],
)
async def test_a_wrong_creation_is_refused_with_a_sentence(gateway: Gateway, body: dict[str, Any]) -> None:
    answer = await gateway.client.post("/admin/keys", json=body, headers=admin_headers())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"]


async def test_unknown_keys_are_not_found(gateway: Gateway) -> None:
    for method in ("GET", "DELETE"):
        answer = await gateway.client.request(method, "/admin/keys/key_nothing", headers=admin_headers())
        assert (answer.status_code, answer.json()["code"]) == (404, "api_key_not_found")
    answer = await gateway.client.patch("/admin/keys/key_nothing", json={}, headers=admin_headers())
    assert answer.status_code == 404


async def test_a_policy_must_be_one_of_the_routing_snapshot(gateway: Gateway, platform: PlatformSettings) -> None:
    assert (await made(gateway, policy="not known yet")).policy == "not known yet"
    gateway.deps.routing.offer(snapshot())
    answer = await gateway.client.post("/admin/keys", json={"name": "x", "policy": "strikt"}, headers=admin_headers())
    assert (answer.status_code, answer.json()["code"]) == (422, "policy_unknown")
    assert "open, strict" in answer.json()["detail"]
    assert (await made(gateway, policy="strict")).policy == "strict"
    for path in ("/admin/organizations", "/admin/teams"):
        body = {"name": "guarded", "policy": "strikt"} | ({"organization_id": "org_x"} if "teams" in path else {})
        answer = await gateway.client.post(path, json=body, headers=admin_headers())
        assert (answer.status_code, answer.json()["code"]) == (422, "policy_unknown")
    answer = await gateway.client.post(
        "/admin/organizations", json={"name": "guarded", "policy": "strict"}, headers=admin_headers()
    )
    assert answer.json()["policy"] == "strict"
    changed = await gateway.client.patch(
        f"/admin/organizations/{answer.json()['id']}", json={"policy": None}, headers=admin_headers()
    )
    assert changed.json()["policy"] is None


async def test_a_change_reaches_other_gateways_in_under_a_second(platform: PlatformSettings, tmp_path: Path) -> None:
    other_platform = platform.model_copy(update={"data_dir": tmp_path / "other"})
    if not platform.database_url:  # the same SQLite file, another journal
        other_platform.data_dir.mkdir()
        await upgrade(platform, "gateway", MIGRATIONS)
        for name in ("gateway.sqlite", "gateway.sqlite-wal", "gateway.sqlite-shm"):
            (other_platform.data_dir / name).symlink_to(platform.data_dir / name)
    async with (
        running_gateway(platform, keys_reload_s=600) as one,
        running_gateway(other_platform, keys_reload_s=600) as two,
    ):
        async with redis_at(platform.redis_url) as redis, asyncio.timeout(60):
            while (await redis.pubsub_numsub(KEYS_CHANGED.name))[0][1] < 2:
                await asyncio.sleep(0.01)
        created = await made(one, tenant="acme")
        await within_a_second(lambda: two.deps.ring.lookup(bearer(created.key)) is not None)
        await one.client.delete(f"/admin/keys/{created.id}", headers=admin_headers())

        def disabled() -> bool:
            found = two.deps.ring.lookup(bearer(created.key))
            return found is not None and found.disabled

        await within_a_second(disabled)


async def test_ready_needs_keys_a_snapshot_and_the_journal(gateway: Gateway, flushed_valkey: str) -> None:
    answer = await gateway.client.get("/readyz")
    assert answer.status_code == 503
    assert {name: check == "ok" for name, check in answer.json()["checks"].items()} == {
        "routing": False,
        "keys": True,
        "journal": True,
    }
    async with redis_at(flushed_valkey) as redis:
        await redis.set(SNAPSHOT_KEY, snapshot(3).model_dump_json())
        await publish(redis, ROUTING_CHANGED, RoutingChanged(version=3))
        await within_a_second(lambda: gateway.deps.routing.current is not None)
        assert (await gateway.client.get("/readyz")).status_code == 200
        await redis.set(SNAPSHOT_KEY, snapshot(2).model_dump_json())
        await publish(redis, ROUTING_CHANGED, RoutingChanged(version=2))
        await redis.set(SNAPSHOT_KEY, "{")
        await publish(redis, ROUTING_CHANGED, RoutingChanged(version=4))
        await asyncio.sleep(0.3)
    assert gateway.deps.routing.current.version == 3


async def test_models_lists_what_patterns_of_a_key_stand_for(gateway: Gateway) -> None:
    created = await made(gateway, tenant="acme", models=["mo*k", "x"])
    assert gateway.deps.routing.offer(snapshot(4))
    own = {"authorization": f"Bearer {created.key}"}
    listed = (await gateway.client.get("/v1/models", headers=own)).json()["data"]
    assert [row["id"] for row in listed] == ["mock"]
    refused = {"model": "large", "messages": [{"role": "user", "content": "x"}]}
    answer = await gateway.client.post("/v1/chat/completions", json=refused, headers=own)
    assert (answer.status_code, answer.json()["error"]["param"]) == (403, "model")
    assert (await gateway.client.get("/v1/key", headers=own)).json()["models"] == ["mo*k", "x"]


async def within_a_second(check: Any) -> None:
    # A second in which this process runs: fifty looks, however long a busy machine keeps it from one.
    for _ in range(50):
        if check():
            return
        await asyncio.sleep(0.02)
    assert check()


async def test_a_creation_is_not_repeated_with_a_secret_that_was_rotated_away(gateway: Gateway) -> None:
    headers, body = admin_headers() | {"idempotency-key": "night-job-7"}, {"name": "k", "tenant": "acme"}
    made = (await gateway.client.post("/admin/keys", json=body, headers=headers)).json()
    again = await gateway.client.post("/admin/keys", json=body, headers=headers)
    assert again.json()["key"] == made["key"]
    await gateway.client.post(f"/admin/keys/{made['id']}/rotate", headers=admin_headers())
    answer = await gateway.client.post("/admin/keys", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert made["key"] not in answer.text
