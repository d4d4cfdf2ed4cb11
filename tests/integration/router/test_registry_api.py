"""The registry over its API, on SQLite and PostgreSQL: what is made, refused, kept, and brought back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.integration.databases import set_up_schema

from sluice.settings import PlatformSettings
from sluice.testing import admin_headers, asgi_client, platform_settings, service_headers
from sluice_router.app import create_app
from sluice_router.settings import Settings
from sluice_router.wiring import MIGRATIONS, open_deps

pytestmark = pytest.mark.integration
FREE = {"input": 0}
OFF = {"enabled": False}
PLACE = {"base_url": "http://engine.test:9/v1", "health": OFF}
FILE: dict[str, Any] = {
    "models": [{"name": "home", "price": FREE, "deployments": [{"id": "home-1", **PLACE}]}],
    "routes": [{"name": "auto", "candidates": ["home"]}],
    "policies": [{"name": "direct"}],
}


def model(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "price": FREE, "deployments": [PLACE], **more}


def write(platform: PlatformSettings, content: dict[str, Any]) -> None:
    (platform.config_dir / "models.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
async def platform(tmp_path: Path, database_url: str) -> PlatformSettings:
    made = platform_settings(
        tmp_path, config_dir=tmp_path, redis_url="redis://127.0.0.1:9/0", database_url=database_url
    )
    write(made, FILE)
    await set_up_schema(made, "router", MIGRATIONS)
    return made


@asynccontextmanager
async def running(platform: PlatformSettings) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(reload_s=0.1, allowed_hosts=("allowed.internal",))
    async with asgi_client(create_app(lambda: open_deps(platform, settings))) as client:
        client.headers.update(admin_headers())
        yield client


@pytest.fixture
async def http(platform: PlatformSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with running(platform) as client:
        yield client


async def decided(http: httpx.AsyncClient, name: str) -> int:
    return (await http.post("/route", json={"model": name})).status_code


async def test_objects_are_made_changed_deleted_and_outlive_a_restart(
    platform: PlatformSettings, http: httpx.AsyncClient
) -> None:
    made = await http.post("/admin/models", json=model("org/new:1", context_tokens=100, parameters_b=8))
    assert made.json()["size"] == {"category": "medium", "fp16_gb": 16.0}
    assert (await http.get("/admin/models/home")).json()["size"] is None, "nobody said how large it is"
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    body = made.json()
    assert (body["declared_in"], body["in_force"], body["updated_by"]) == ("api", True, "admin")
    assert body["spec"]["deployments"][0]["id"] == "org/new:1-1", "it keeps its id when others go"
    assert await decided(http, "org/new:1") == 200, "in force at once"
    route = {"name": "fast", "candidates": ["org/new:1", "home"], "policy": "direct"}
    assert (await http.put("/admin/routes/fast", json=route)).status_code == 201
    assert (await http.post("/admin/aliases", json={"name": "gpt", "model": "fast"})).status_code == 201
    assert (await http.post("/admin/policies", json={"name": "kept", "deadline_s": 5})).status_code == 201
    patch = await http.patch("/admin/models/org/new:1", json={"context_tokens": None, "policy": "kept"})
    assert (patch.json()["spec"]["context_tokens"], patch.json()["spec"]["policy"]) == (8192, "kept")
    assert await decided(http, "gpt") == 200
    used = await http.delete("/admin/models/org/new:1")
    assert (used.status_code, used.json()["code"]) == (409, "still_in_use")
    assert "route fast (candidates names org/new:1" in used.json()["detail"]
    async with running(platform) as other:
        assert await decided(other, "gpt") == 200
        assert (await other.get("/admin/registry")).json()["version"] == 5
    for path in ("aliases/gpt", "routes/fast", "models/org/new:1"):
        assert (await http.delete(f"/admin/{path}")).json()["deleted"] is True
    assert await decided(http, "org/new:1") == 404
    gone = await http.get("/admin/models/org/new:1")
    assert (gone.status_code, gone.json()["code"]) == (404, "registry_entry_not_found")


async def test_what_the_file_declares_is_shown_and_cannot_be_changed(http: httpx.AsyncClient) -> None:
    home = await http.get("/admin/models/home")
    assert (home.json()["declared_in"], home.json()["version"], "etag" in home.headers) == ("file", None, False)
    asked = (
        http.post("/admin/models", json=model("home")),
        http.put("/admin/models/home", json=model("home")),
        http.patch("/admin/models/home", json={"context_tokens": 5}),
        http.delete("/admin/models/home"),
        http.post("/admin/aliases", json={"name": "auto", "model": "home"}),
        http.post("/admin/deployments", json={"model": "home", **PLACE}),
        http.patch("/admin/deployments/home-1", json={"weight": 2}),
        http.delete("/admin/deployments/home-1"),
    )
    for answer in [await one for one in asked]:
        assert (answer.status_code, answer.json()["code"]) == (409, "declared_in_file"), answer.text
        assert "edit the file" in answer.json()["detail"]
    assert (await http.get("/admin/registry")).json()["version"] == 0


UNFIT: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("models", model("m", deployments=[]), "body.deployments", "must not be empty"),
    ("models", model("m", contex_tokens=1), "body.contex_tokens", "is not known here"),
    (
        "models",
        model("m", fallbacks=["ghost"]),
        "body.fallbacks",
        "names ghost, which is not defined (defined: home, m)",
    ),
    ("routes", {"name": "r", "candidates": ["ghost"]}, "body.candidates", "names ghost"),
    ("aliases", {"name": "a", "model": "ghost"}, "body.model", "names ghost"),
    ("models", model("m", only_if="x"), "body.only_if", "is for models.yaml only"),
)
ABROAD = "https://8.8.8.8/v1"
INSIDE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"base_url": "http://169.254.169.254/latest"}, "base_url"),
    ({"base_url": "http://10.0.0.5/v1"}, "base_url"),
    ({"base_url": "http://0x7f000001/v1"}, "base_url"),
    ({"base_url": "http://[::ffff:10.0.0.1]/v1"}, "base_url"),
    ({"base_url": "http://localhost:6379/v1"}, "base_url"),
    ({"base_url": "http://redis/v1"}, "base_url"),
    ({"base_url": "https://user:secret@8.8.8.8/v1"}, "base_url"),
    ({"base_url": ABROAD, "auth": {"kind": "bearer", "env": "SLUICE_ADMIN_KEY"}}, "auth.env"),
    ({"base_url": ABROAD, "auth": {"kind": "service", "audience": "retrieval"}}, "auth"),
)


async def test_what_does_not_fit_is_refused_with_its_field(http: httpx.AsyncClient) -> None:
    for path, body, loc, said in UNFIT:
        answer = await http.post(f"/admin/{path}", json=body)
        assert answer.status_code == 422, body
        errors = {error["loc"]: error["msg"] for error in answer.json()["errors"]}
        assert said in errors[loc], errors
    for place, loc in INSIDE:
        answer = await http.post("/admin/models", json=model("m", deployments=[place]))
        assert answer.status_code == 422, place
        assert [error["loc"] for error in answer.json()["errors"]] == [f"body.deployments.0.{loc}"]
    assert (await http.get("/admin/registry")).json()["version"] == 0


async def test_hosts_that_the_configuration_names_are_allowed(
    platform: PlatformSettings, http: httpx.AsyncClient
) -> None:
    own = {"base_url": f"{platform.service_url('retrieval')}/v1", "auth": {"kind": "service", "audience": "retrieval"}}
    places = [{"base_url": "http://allowed.internal:1/v1"}, {"base_url": "https://8.8.8.8/v1"}, PLACE, own]
    fresh = [{**place, "health": OFF} for place in places]
    assert (await http.post("/admin/models", json=model("m", deployments=fresh))).status_code == 201


async def test_two_who_change_the_same_do_not_overwrite_each_other(http: httpx.AsyncClient) -> None:
    seen = (await http.post("/admin/models", json=model("m"))).headers["etag"]
    first = await http.patch("/admin/models/m", json={"context_tokens": 5}, headers={"if-match": seen})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    late = await http.patch("/admin/models/m", json={"context_tokens": 6}, headers={"if-match": seen})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    absent = await http.put("/admin/models/m", json=model("m"), headers={"if-none-match": "*"})
    assert absent.status_code == 412
    many = await asyncio.gather(
        *(http.post("/admin/models", json=model("same")) for _ in range(4)),
        *(http.post("/admin/models", json=model(f"other-{n}")) for n in range(4)),
    )
    assert sorted(answer.status_code for answer in many) == [201] * 5 + [409] * 3
    versions = (await http.get("/admin/registry/versions?limit=100&order=asc")).json()["data"]
    assert [one["version"] for one in versions] == list(range(1, 8)), "each change is one version, and none is lost"


async def test_a_repeated_creation_is_made_once(http: httpx.AsyncClient) -> None:
    headers = {"idempotency-key": "a-unique-text"}
    first, again = [await http.post("/admin/models", json=model("m"), headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code, again.headers["idempotent-replayed"]) == (201, 201, "true")
    assert first.json() == again.json()
    other = await http.post("/admin/models", json=model("n"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_every_change_is_told_and_can_be_taken_back(http: httpx.AsyncClient) -> None:
    await http.post("/admin/models", json=model("m", context_tokens=10), headers={"x-request-id": "request-one"})
    await http.post("/admin/routes", json={"name": "r", "candidates": ["m"]})
    await http.patch("/admin/models/m", json={"context_tokens": 20})
    await http.delete("/admin/routes/r")
    page = (await http.get("/admin/registry/versions?limit=3")).json()
    assert [(one["version"], one["action"]) for one in page["data"]] == [(4, "delete"), (3, "change"), (2, "create")]
    assert page["has_more"] is True
    rest = (await http.get(f"/admin/registry/versions?limit=3&after={page['last_id']}")).json()["data"]
    assert (rest[0]["actor"], rest[0]["request_id"], rest[0]["changes"][0]["before"]) == ("admin", "request-one", None)
    changed = (await http.get("/admin/registry/versions/3")).json()["changes"][0]
    assert (changed["before"]["context_tokens"], changed["after"]["context_tokens"]) == (10, 20)
    tried = await http.post("/admin/registry/rollback?dry_run=true", json={"version": 2})
    assert (tried.json()["version"], (await http.get("/admin/registry")).json()["version"]) == (5, 4)
    back = await http.post("/admin/registry/rollback", json={"version": 2})
    assert (back.json()["version"], back.json()["objects"]) == (5, 2)
    assert (await http.get("/admin/models/m")).json()["spec"]["context_tokens"] == 10
    assert await decided(http, "r") == 200
    assert (await http.post("/admin/registry/rollback", json={"version": 0})).json()["objects"] == 0
    assert await decided(http, "m") == 404
    lost = await http.post("/admin/registry/rollback", json={"version": 77})
    assert (lost.status_code, lost.json()["code"]) == (404, "registry_version_not_found")


async def test_a_dry_run_says_what_would_be_and_changes_nothing(http: httpx.AsyncClient) -> None:
    tried = await http.post("/admin/models?dry_run=true", json=model("m"))
    assert (tried.status_code, tried.json()["version"]) == (201, 1)
    assert (await http.post("/admin/models?dry_run=true", json=model("m", policy="no"))).status_code == 422
    assert (await http.get("/admin/models/m")).status_code == 404
    assert (await http.get("/admin/registry")).json()["version"] == 0


async def test_a_file_that_takes_a_name_comes_first_and_the_object_waits(
    platform: PlatformSettings, http: httpx.AsyncClient
) -> None:
    await http.post("/admin/models", json=model("m", context_tokens=10))
    await http.post("/admin/routes", json={"name": "r", "candidates": ["home"]})
    renamed = {"name": "house", "deployments": FILE["models"][0]["deployments"]}
    write(platform, {"models": [renamed, model("m", context_tokens=99)]})
    assert (await http.post("/v1/reload")).status_code == 200
    held = (await http.get("/admin/registry")).json()["held_back"]
    assert [(one["kind"], one["name"]) for one in held] == [("model", "m"), ("route", "r")]
    assert "named twice: m" in held[0]["problem"]
    assert "candidates names home, which is not defined" in held[1]["problem"]
    listed = (await http.get("/admin/models")).json()["data"]
    assert [(one["name"], one["declared_in"], one["in_force"]) for one in listed] == [
        ("house", "file", True), ("m", "api", False), ("m", "file", True),
    ]  # fmt: skip
    assert (await http.get("/v1/snapshot")).json()["models"][1]["context_tokens"] == 99
    assert "sluice_router_registry_held_back 2.0" in (await http.get("/metrics")).text
    assert (await http.delete("/admin/models/m")).status_code == 200
    write(platform, FILE)
    await http.post("/v1/reload")
    assert (await http.get("/admin/registry")).json()["held_back"] == []
    assert await decided(http, "r") == 200


async def test_deployments_are_added_weighed_and_taken_away(http: httpx.AsyncClient) -> None:
    await http.post("/admin/models", json=model("m"))
    added = await http.post("/admin/deployments", json={"model": "m", "weight": 3, **PLACE})
    assert (added.status_code, added.json()["id"], added.json()["spec"]["weight"]) == (201, "m-2", 3)
    assert (await http.post("/admin/deployments", json={"model": "m", "id": "m-2", **PLACE})).status_code == 409
    assert (await http.post("/admin/deployments", json={"model": "no", **PLACE})).status_code == 404
    patched = await http.patch(
        "/admin/deployments/m-2", json={"weight": 0.5}, headers={"if-match": added.headers["etag"]}
    )
    assert patched.json()["spec"]["weight"] == 0.5
    wrong = await http.patch("/admin/deployments/m-2", json={"weight": 0})
    assert (wrong.status_code, wrong.json()["errors"][0]["loc"]) == (422, "body.weight")
    assert (await http.put("/admin/deployments/m-2", json=PLACE)).json()["spec"]["weight"] == 1
    listed = (await http.get("/admin/deployments?model=m&limit=1")).json()
    assert ([one["id"] for one in listed["data"]], listed["has_more"]) == (["m-1"], True)
    up = (await http.get("/admin/deployments?health=up")).json()["data"]
    assert [one["id"] for one in up] == ["home-1", "m-1", "m-2"]
    assert (await http.delete("/admin/deployments/m-1")).status_code == 200
    last = await http.delete("/admin/deployments/m-2")
    assert (last.status_code, "delete the model" in last.json()["detail"]) == (422, True)
    places = (await http.get("/v1/snapshot")).json()["models"][1]["deployments"]
    assert [place["id"] for place in places] == ["m-2"]


async def test_members_read_and_write_nothing_and_strangers_nothing_at_all(http: httpx.AsyncClient) -> None:
    member = service_headers("router", "acme", role="member")
    for path in ("models", "deployments", "routes", "policies", "aliases", "registry", "registry/versions"):
        assert (await http.get(f"/admin/{path}", headers=member)).status_code == 403, "addresses are not for users"
        assert (await http.get(f"/admin/{path}", headers={"authorization": "Bearer x"})).status_code == 401
    assert (await http.post("/admin/models", json=model("m"), headers=member)).status_code == 403
    service = await http.post("/admin/models", json=model("m"), headers=service_headers("router", subject="inference"))
    assert (service.status_code, service.json()["updated_by"]) == (201, "inference")
