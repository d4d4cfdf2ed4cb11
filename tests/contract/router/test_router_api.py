"""The real client against the real router application, and what a stranger sends."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sluice.clients.router import RouterClient
from sluice.contracts.routing import RouteDecision, RouteRequest, RoutingSnapshot
from sluice.errors import NotFound
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import admin_headers, asgi_client, platform_settings, service_client, service_headers
from sluice_router.app import create_app
from sluice_router.settings import Settings
from sluice_router.wiring import MIGRATIONS, open_deps

CONFIG = Path(__file__).parents[3] / "deploy" / "config"
RELEASED_SNAPSHOT = b"""{"version":1764000000000,"published_at":1764000000.0,"models":[{"name":"smollm2","kind":"chat",
"owned_by":"sluice","created":0,"context_tokens":4096,"max_output_tokens":null,"embedding_dimensions":null,
"price":{"input":0.0,"output":0.0},"policy":"default","fallbacks":[],"deployments":[{"id":"smollm2-local",
"provider":"openai","base_url":"http://127.0.0.1:8090/v1","upstream_model":"smollm2","auth":{"kind":"none","env":null,
"audience":null},"weight":1.0,"max_in_flight":64,"timeout_s":120.0,"connect_timeout_s":3.0,"health":"up",
"health_reason":null}]}],"routes":[{"name":"auto","candidates":["smollm2"],"fallbacks":[],"policy":"default"}],
"policies":[{"name":"default","guard_input":"enforce","guard_output":"enforce","guard_policy":"default",
"on_guard_error":"closed","retrieval":null}]}"""


@pytest.fixture
async def platform(tmp_path: Path) -> PlatformSettings:
    # Nothing listens on this Redis: the router decides all the same, and gateways read the snapshot from it.
    made = platform_settings(tmp_path, config_dir=CONFIG, redis_url="redis://127.0.0.1:9/0")
    await upgrade(made, "router", MIGRATIONS)
    return made


@pytest.fixture
async def http(platform: PlatformSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with asgi_client(create_app(lambda: open_deps(platform, Settings()))) as client:
        yield client


async def test_the_shared_client_gets_decisions_and_the_snapshot(platform: PlatformSettings) -> None:
    app = create_app(lambda: open_deps(platform, Settings()))
    async with asgi_client(app), service_client("router", app, platform) as called:
        client = RouterClient(called)
        snapshot = await client.snapshot()
        assert {model.name: model.kind for model in snapshot.models} == {
            "smollm2": "chat",
            "minilm": "embedding",
            "features": "rerank",
        }
        assert [policy.name for policy in snapshot.policies] == ["direct", "default", "observe"]
        decision = await client.route(RouteRequest(model="auto", text="hi", explain=True), tenant="acme")
        assert (decision.model, decision.instance, decision.route) == ("smollm2", "smollm2-local", "auto")
        assert decision.policy == "default"
        assert decision.snapshot_version >= snapshot.version
        assert decision.candidates
        with pytest.raises(NotFound, match="no model or route named 'nope'"):
            await client.route(RouteRequest(model="nope"), tenant="acme")


def test_the_route_result_has_the_handbooks_fields() -> None:
    assert {"model", "instance", "intent", "confidence"} <= set(RouteDecision.model_fields)


def test_a_released_snapshot_keeps_parsing() -> None:
    snapshot = RoutingSnapshot.model_validate_json(RELEASED_SNAPSHOT)
    assert snapshot.routes[0].when_all_down == "try"
    assert RoutingSnapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


async def test_nobody_comes_in_without_a_credential(http: httpx.AsyncClient) -> None:
    paths = ("/v1/snapshot", "/v1/models", "/v1/deployments", "/v1/routes", "/v1/config")
    for path in paths:
        assert (await http.get(path)).status_code == 401, path
        member = service_headers("router", "acme", role="member")
        assert (await http.get(path, headers=member)).status_code == 403, "addresses of engines are not for users"
        assert (await http.get(path, headers=admin_headers())).status_code == 200, path
    assert (await http.post("/v1/reload")).status_code == 401
    assert (await http.post("/route", json={"model": "auto"})).status_code == 401
    assert (await http.post("/route", json={"model": "auto"}, headers=service_headers("eval"))).status_code == 401


async def test_no_secret_and_no_health_check_is_in_the_snapshot(http: httpx.AsyncClient) -> None:
    text = (await http.get("/v1/snapshot", headers=admin_headers())).text
    assert "healthz" not in text
    assert '"auth":{"kind":"service","env":null,"file":null,"audience":"retrieval","region":null}' in text


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"{", 400, "The body is not valid JSON: "),
        (b"{}", 422, "`model` is missing; add it."),
        (b'{"model":""}', 422, "`model` must not be empty."),
        (b'{"model":"auto","prompt_tokens":-1}', 422, "`prompt_tokens` must be 0 or more."),
        (b'{"model":"auto","temperature":1}', 422, "`temperature` is not known here; remove it."),
    ],
)
async def test_what_is_no_question_is_refused(http: httpx.AsyncClient, body: bytes, status: int, sentence: str) -> None:
    headers = {**admin_headers(), "content-type": "application/json"}
    answer = await http.post("/route", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"].startswith(sentence)
