"""Organisations, teams and keys through the admin API, on SQLite and PostgreSQL."""

import asyncio
from typing import Any

import pytest
from tests.integration.gateway.admin.asking import Admin
from tests.integration.gateway.control_plane import Gateway

pytestmark = pytest.mark.integration
LIMITS = {
    "requests_per_minute": 600,
    "tokens_per_minute": 90_000,
    "max_concurrent": 8,
    "budget_per_day_usd": 12.5,
    "budget_per_month_usd": 200.0,
}


@pytest.fixture
def admin(gateway: Gateway) -> Admin:
    return Admin(gateway.client)


async def test_an_organisation_is_made_read_changed_listed_and_deleted(admin: Admin) -> None:
    limits = {**LIMITS, "file_bytes": 5_000_000_000, "unfinished_batches": 5}
    made = await admin.organization(
        "acme", models=["a", "b"], allowed_regions=["eu"], limits=limits, metadata={"plan": "gold"}
    )
    assert (made["tenant"], made["limits"], made["disabled"]) == ("acme", limits, False)
    path = f"/admin/organizations/{made['id']}"
    assert await admin.ask("GET", path, 200) == made
    changed = await admin.ask("PATCH", path, 200, {"limits": {"max_concurrent": None}, "models": None, "name": "Acme"})
    assert changed["limits"] == {**limits, "max_concurrent": None}
    assert (changed["models"], changed["allowed_regions"], changed["name"], changed["tenant"]) == (
        None,
        ["eu"],
        "Acme",
        "acme",
    )
    other = await admin.organization("other")
    listed = await admin.ask("GET", "/admin/organizations", 200)
    assert [row["id"] for row in listed["data"]] == [other["id"], made["id"]]
    assert (await admin.ask("GET", "/admin/organizations", 200, name="Acme"))["data"] == [changed]
    assert (await admin.ask("GET", "/admin/organizations", 200, tenant="other"))["data"] == [other]
    gone = await admin.ask("DELETE", path, 200)
    assert (gone["deleted"], gone["object"]) == (True, "organization.deleted")
    for method in ("GET", "DELETE"):
        assert (await admin.ask(method, path, 404))["code"] == "organization_not_found"


async def test_a_team_is_made_read_changed_listed_and_deleted(admin: Admin) -> None:
    acme, other = await admin.organization("acme"), await admin.organization("other")
    made = await admin.team(acme, "search", models=["a"], limits=LIMITS)
    await admin.team(other, "search")
    path = f"/admin/teams/{made['id']}"
    assert await admin.ask("GET", path, 200) == made
    changed = await admin.ask("PATCH", path, 200, {"limits": None, "disabled": True})
    assert (set(changed["limits"].values()), changed["disabled"], changed["models"]) == ({None}, True, ["a"])
    assert (await admin.ask("GET", "/admin/teams", 200, organization_id=acme["id"]))["data"] == [changed]
    assert len((await admin.ask("GET", "/admin/teams", 200, name="search"))["data"]) == 2
    assert (await admin.ask("DELETE", path, 200))["object"] == "team.deleted"
    assert (await admin.ask("GET", path, 404))["code"] == "team_not_found"
    assert (await admin.ask("POST", "/admin/teams", 404, {"name": "x", "organization_id": "org_0"}))["code"]
    assert (await admin.ask("POST", "/admin/teams", 422, {"name": "x"}))["code"] == "placement_refused"


@pytest.mark.parametrize("path", ["organizations", "teams", "keys", "audit", "prices/overrides"])
async def test_a_cursor_of_another_list_is_refused(path: str, admin: Admin) -> None:
    """Compared as a text it would begin the list anew, and a client that pages would never end."""
    await admin.organization("o")
    for wrong in ("zzz", "batch_1", "-1"):
        said = await admin.ask("GET", f"/admin/{path}", 422, after=wrong)
        assert said["detail"] == "`after`: it names nothing in this list; send the `last_id` of the page before."
    assert (await admin.ask("GET", f"/admin/{path}", 200, after=""))["object"] == "list"


async def test_lists_are_paged_by_cursor(admin: Admin) -> None:
    names = [f"o{number}" for number in range(5)]
    for name in names:
        await admin.organization(name)
        await asyncio.sleep(0.002)
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = await admin.ask("GET", "/admin/organizations", 200, limit=2, order="asc", **after)
        seen += [row["name"] for row in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    assert seen == names


async def test_names_are_unique_among_what_lives_in_one_parent(admin: Admin) -> None:
    acme, other = await admin.organization("acme"), await admin.organization("other")
    assert (await admin.ask("POST", "/admin/organizations", 409, {"name": "acme"}))["code"] == "name_taken"
    path = f"/admin/organizations/{other['id']}"
    assert (await admin.ask("PATCH", path, 409, {"name": "acme"}))["code"] == "name_taken"
    team = await admin.team(acme, "search")
    await admin.team(other, "search")
    body = {"name": "search", "organization_id": acme["id"]}
    assert (await admin.ask("POST", "/admin/teams", 409, body))["code"] == "name_taken"
    await admin.ask("DELETE", f"/admin/teams/{team['id']}", 200)
    await admin.team(acme, "search")


async def test_one_of_many_requests_at_once_gets_a_name(gateway: Gateway, admin: Admin) -> None:
    async def make() -> int:
        answer = await gateway.client.post("/admin/organizations", json={"name": "acme"}, headers=admin.headers)
        return answer.status_code

    assert sorted(await asyncio.gather(*(make() for _ in range(6)))) == [201, 409, 409, 409, 409, 409]


async def test_a_tenant_is_never_given_to_a_second_organisation(admin: Admin) -> None:
    acme = await admin.organization("acme")
    taken = {"name": "new", "tenant": "acme"}
    assert (await admin.ask("POST", "/admin/organizations", 409, taken))["code"] == "name_taken"
    await admin.ask("DELETE", f"/admin/organizations/{acme['id']}", 200)
    assert (await admin.ask("POST", "/admin/organizations", 409, taken))["code"] == "name_taken"
    again = await admin.organization("acme")
    assert again["tenant"] == again["id"] != "acme"
    assert (await admin.ask("POST", "/admin/keys", 404, {"name": "k", "tenant": "acme"}))["code"]
    spaced = await admin.organization("Acme & Sons")
    assert spaced["tenant"] == spaced["id"]


async def test_the_first_keys_of_a_tenant_make_its_organisation_once(gateway: Gateway, admin: Admin) -> None:
    made = await asyncio.gather(*(admin.key(tenant="acme") for _ in range(5)))
    assert len({key["organization_id"] for key in made}) == 1
    listed = await admin.ask("GET", "/admin/organizations", 200)
    assert [(row["name"], row["tenant"]) for row in listed["data"]] == [("acme", "acme")]
    records = await admin.ask("GET", "/admin/audit", 200, target="organization")
    assert [row["action"] for row in records["data"]] == ["create"]
    assert (await admin.key())["tenant"] == "default"
    await admin.organization("sales", tenant="sales-eu")
    refused = await admin.ask("POST", "/admin/keys", 422, {"name": "k", "tenant": "sales"})
    assert "organization_id" in refused["detail"]


async def test_a_key_stands_where_it_is_put_and_nowhere_else(admin: Admin) -> None:
    acme, other = await admin.organization("acme"), await admin.organization("other")
    search, ads = await admin.team(acme, "search"), await admin.team(other, "ads")
    key = await admin.key(team_id=search["id"], limits={"max_concurrent": 3})
    assert (key["organization_id"], key["tenant"], key["team_id"], key["role"]) == (
        acme["id"],
        "acme",
        search["id"],
        "member",
    )
    assert key["limits"]["max_concurrent"] == 3
    for body, status, code in (
        ({"team_id": search["id"], "organization_id": other["id"]}, 404, "team_not_found"),
        ({"team_id": search["id"], "tenant": "other"}, 422, "placement_refused"),
        ({"organization_id": acme["id"], "tenant": "other"}, 422, "placement_refused"),
        ({"organization_id": "org_0"}, 404, "organization_not_found"),
        ({"team_id": search["id"], "role": "admin"}, 422, "placement_refused"),
    ):
        assert (await admin.ask("POST", "/admin/keys", status, {"name": "k", **body}))["code"] == code
    path = f"/admin/keys/{key['id']}"
    assert (await admin.ask("PATCH", path, 404, {"team_id": ads["id"]}))["code"] == "team_not_found"
    assert (await admin.ask("PATCH", path, 422, {"role": "admin"}))["code"] == "placement_refused"
    out = await admin.ask("PATCH", path, 200, {"team_id": None, "role": "admin"})
    assert (out["team_id"], out["role"]) == (None, "admin")
    for query, count in (
        ({"organization_id": acme["id"]}, 1),
        ({"organization_id": other["id"]}, 0),
        ({"team_id": search["id"]}, 0),
        ({"tenant": "acme"}, 1),
    ):
        assert len((await admin.ask("GET", "/admin/keys", 200, **query))["data"]) == count


async def test_disabling_any_level_stops_its_keys_at_once_and_enabling_brings_them_back(admin: Admin) -> None:
    acme = await admin.organization("acme")
    team = await admin.team(acme, "search")
    key = await admin.key(team_id=team["id"])
    beside = await admin.key(organization_id=acme["id"])
    for path, stops_beside in (
        (f"/admin/organizations/{acme['id']}", True),
        (f"/admin/teams/{team['id']}", False),
        (f"/admin/keys/{key['id']}", False),
    ):
        await admin.ask("PATCH", path, 200, {"disabled": True})
        assert await admin.works(key["key"]) == 401
        assert await admin.works(beside["key"]) == (401 if stops_beside else 200)
        await admin.ask("PATCH", path, 200, {"disabled": False})
        assert await admin.works(key["key"]) == 200


async def test_what_is_not_empty_is_deleted_only_with_all_that_is_inside(admin: Admin) -> None:
    acme = await admin.organization("acme")
    search, ads = await admin.team(acme, "search"), await admin.team(acme, "ads")
    one, two, three = (
        await admin.key(team_id=search["id"]),
        await admin.key(team_id=ads["id"]),
        await admin.key(organization_id=acme["id"]),
    )
    refused = await admin.ask("DELETE", f"/admin/teams/{search['id']}", 409)
    assert (refused["code"], "1 keys" in refused["detail"]) == ("not_empty", True)
    assert (await admin.ask("DELETE", f"/admin/organizations/{acme['id']}", 409))["code"] == "not_empty"
    assert await admin.works(one["key"]) == 200
    gone = await admin.ask("DELETE", f"/admin/teams/{search['id']}", 200, cascade=True)
    assert (gone["keys_revoked"], gone["teams_deleted"]) == (1, 0)
    assert [await admin.works(key["key"]) for key in (one, two, three)] == [401, 200, 200]
    gone = await admin.ask("DELETE", f"/admin/organizations/{acme['id']}", 200, cascade=True)
    assert (gone["keys_revoked"], gone["teams_deleted"]) == (2, 1)
    assert [await admin.works(key["key"]) for key in (one, two, three)] == [401, 401, 401]
    for key in (one, two, three):
        assert (await admin.ask("GET", f"/admin/keys/{key['id']}", 200))["status"] == "revoked"
    assert (await admin.ask("GET", "/admin/teams", 200))["data"] == []
    records = (await admin.ask("GET", "/admin/audit", 200, organization_id=acme["id"], limit=100))["data"]
    assert sorted((row["action"], row["target"]) for row in records if row["action"] in ("delete", "revoke")) == [
        ("delete", "organization"),
        ("delete", "team"),
        ("delete", "team"),
        *[("revoke", "api_key")] * 3,
    ]


async def test_a_rotated_key_has_a_new_secret_and_the_old_one_works_for_the_grace_that_was_named(
    gateway: Gateway, admin: Admin
) -> None:
    key = await admin.key()
    path = f"/admin/keys/{key['id']}/rotate"
    second = await admin.ask("POST", path, 200, {"grace_s": 3600})
    assert (second["id"], second["key"] != key["key"]) == (key["id"], True)
    assert second["prefix"] == second["key"][: len(second["prefix"])]
    assert [await admin.works(secret) for secret in (key["key"], second["key"])] == [200, 200]
    third = await admin.ask("POST", path, 200)  # without grace, as for a key that leaked: all before it are over
    secrets = (key["key"], second["key"], third["key"])
    assert [await admin.works(secret) for secret in secrets] == [401, 401, 200]
    gateway.deps.ring.replace(await gateway.deps.key_store.all())  # as a gateway that starts now
    assert [await admin.works(secret) for secret in secrets] == [401, 401, 200]
    fourth = await admin.ask("POST", path, 200, {"grace_s": 3600})
    assert [await admin.works(secret) for secret in (third["key"], fourth["key"])] == [200, 200]
    await admin.ask("POST", path, 200, {"grace_s": 60})
    retired = (await gateway.deps.key_store.lineage(key["id"])).key.retired
    assert len({secret.valid_until for secret in retired}) == 1, "the older one ends with the newer"
    await admin.ask("DELETE", f"/admin/keys/{key['id']}", 200)
    assert [await admin.works(secret) for secret in secrets] == [401, 401, 401]
    assert (await admin.ask("POST", path, 409))["code"] == "api_key_revoked"
    for wrong in ({"grace_s": -1}, {"grace_s": 31 * 24 * 3600}, {"grace": 1}):
        await admin.ask("POST", path, 422, wrong)
    assert (await admin.ask("POST", "/admin/keys/key_0/rotate", 404))["code"] == "api_key_not_found"


async def test_the_record_of_a_key_has_what_its_parents_say(gateway: Gateway, admin: Admin) -> None:
    acme = await admin.organization("acme", models=["a", "b"], allowed_regions=["eu"], limits=LIMITS)
    team = await admin.team(acme, "search", models=["b", "c"])
    key = await admin.key(team_id=team["id"], limits={"requests_per_minute": 1})
    record = gateway.deps.ring.lookup(f"Bearer {key['key']}".encode())
    assert record is not None
    assert (record.models, record.regions) == ({"b"}, {"eu"})
    assert [(level.level, level.id) for level in record.limits] == [("organization", acme["id"]), ("key", key["id"])]
    await admin.ask("PATCH", f"/admin/organizations/{acme['id']}", 200, {"allowed_regions": None, "models": ["c"]})
    record = gateway.deps.ring.lookup(f"Bearer {key['key']}".encode())
    assert record is not None
    assert (record.models, record.regions) == ({"c"}, None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/admin/organizations", {"name": "x", "allowed_regions": []}),
        ("/admin/organizations", {"name": "x", "allowed_regions": ["EU west"]}),
        ("/admin/organizations", {"name": "x", "limits": {"requests_per_minute": 0}}),
        ("/admin/organizations", {"name": "x", "limits": {"budget_per_day_usd": -1}}),
        ("/admin/organizations", {"name": "x", "limits": {"rps": 1}}),
        ("/admin/organizations", {"name": "x", "tenant": "No Tenant"}),
        ("/admin/teams", {"name": "x", "organization_id": "a\x00b"}),
        ("/admin/teams", {"name": "", "organization_id": "org_1"}),
        ("/admin/keys", {"name": "x", "role": "root"}),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_sentence(admin: Admin, path: str, body: dict[str, Any]) -> None:
    assert (await admin.ask("POST", path, 422, body))["code"] == "invalid_request"
