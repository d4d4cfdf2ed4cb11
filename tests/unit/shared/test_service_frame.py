"""The frame of every service, and the shared client against a real application over ASGI."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import pytest
from fastapi import APIRouter, FastAPI, Query

from sluice.auth import AdminDep, CallerDep, ServiceTokens
from sluice.clients.deadline import deadline_after
from sluice.clients.http import HttpAnswer, ServiceClient
from sluice.contracts.base import Reply, Request
from sluice.errors import Conflict, DeadlineExceeded, DependencyUnavailable, NotFound, ServiceOff, UpstreamFailed
from sluice.service import create_service
from sluice.settings import SERVICES, PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice.testing import AsgiTransport, admin_headers, asgi_client, platform_settings, service_headers


class Echo(Reply):
    tenant: str
    n: int


class Order(Request):
    n: int


@dataclass(frozen=True)
class Deps:
    platform: PlatformSettings
    registry: MetricRegistry
    tokens: ServiceTokens
    tracing: Tracing
    probes: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)


def _app(
    tmp_path: Path, probes: Mapping[str, Callable[[], Awaitable[None]]] | None = None, **overrides: object
) -> FastAPI:
    platform = platform_settings(tmp_path, **overrides)
    router = APIRouter()

    @router.post("/v1/echo/{name}")
    async def echo(name: str, order: Order, caller: CallerDep) -> Echo:
        if name == "busy":
            raise Conflict("It is busy; try again when it is done.")
        return Echo(tenant=caller.tenant, n=order.n)

    @router.get("/v1/boom")
    async def boom(limit: Annotated[int, Query(ge=1)] = 1) -> Echo:
        raise ZeroDivisionError("secret detail")

    @router.get("/admin/only")
    async def only(caller: AdminDep) -> Echo:
        return Echo(tenant=caller.tenant, n=1)

    @asynccontextmanager
    async def open_deps() -> AsyncIterator[Deps]:
        secret = platform.service_secret.get_secret_value()
        tracing = Tracing("demo", platform)
        yield Deps(platform, MetricRegistry(), ServiceTokens(secret, "demo"), tracing, probes or {})
        tracing.close()

    return create_service("demo", open_deps, [router], title="Demo", description="A demo")


async def test_health_readiness_and_metrics(tmp_path: Path) -> None:
    async def fine() -> None: ...

    async def broken() -> None:
        raise DependencyUnavailable("The store is away.")

    async with asgi_client(_app(tmp_path, {"a": fine, "b": broken})) as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"] == {"a": "ok", "b": "The store is away."}
        await client.get("/v1/nothing")
        metrics = (await client.get("/metrics")).text
        assert 'sluice_http_requests_total{method="GET",route="other",service="demo",status="404"} 1.0' in metrics


async def test_errors_have_one_shape_and_leak_nothing(tmp_path: Path) -> None:
    async with asgi_client(_app(tmp_path)) as client:
        for response, status, code in (
            (await client.post("/v1/echo/x", json={"n": 1}), 401, "unauthorized"),
            (
                await client.post("/v1/echo/x", json={"n": "no"}, headers=service_headers("demo")),
                422,
                "invalid_request",
            ),
            (
                await client.post("/v1/echo/x", json={"n": 1, "m": 2}, headers=service_headers("demo")),
                422,
                "invalid_request",
            ),
            (await client.post("/v1/echo/busy", json={"n": 1}, headers=service_headers("demo")), 409, "conflict"),
            (await client.get("/v1/nothing"), 404, "not_found"),
            (await client.get("/v1/echo/x"), 405, "method_not_allowed"),
            (await client.get("/v1/boom"), 500, "internal_error"),
            (await client.get("/admin/only", headers=service_headers("demo", role="member")), 403, "forbidden"),
        ):
            assert response.status_code == status, response.text
            assert response.headers["content-type"] == "application/problem+json"
            body = response.json()
            assert (body["status"], body["code"]) == (status, code)
            assert body["detail"]
            assert body["request_id"] == response.headers["x-request-id"]
            assert "secret detail" not in response.text
        assert (await client.get("/v1/echo/x")).headers["allow"] == "POST"


async def test_a_body_that_cannot_be_read_is_a_bad_request_that_says_why(tmp_path: Path) -> None:
    json_type = {"content-type": "application/json"}
    async with asgi_client(_app(tmp_path)) as client:
        broken = await client.post("/v1/echo/x", content=b'{"n":', headers=service_headers("demo") | json_type)
        assert (broken.status_code, broken.json()["code"]) == (400, "invalid_json")
        assert broken.json()["detail"].startswith("The body is not valid JSON: ")
        no_json = await client.post("/v1/echo/x", content=b"n=1", headers=service_headers("demo"))
        assert no_json.status_code == 422
        assert "`Content-Type: application/json`" in no_json.json()["detail"]
        for content, code in ((b'{"n":' + b"[" * 50_000, "too_deep"), (b'{"n":"\xff"}', "invalid_json")):
            odd = await client.post("/v1/echo/x", content=content, headers=service_headers("demo") | json_type)
            assert (odd.status_code, odd.json()["code"]) == (400, code)
            assert odd.json()["detail"].endswith(("Send it flatter.", "send it again."))
        wrong = await client.post("/v1/echo/x", json={"n": "a", "m": 1}, headers=service_headers("demo"))
        assert wrong.json()["detail"] == "`n` must be a whole number. `m` is not known here; remove it."
        assert [fault["loc"] for fault in wrong.json()["errors"]] == ["body.n", "body.m"]


async def test_request_ids_are_taken_over_only_when_they_are_harmless(tmp_path: Path) -> None:
    async with asgi_client(_app(tmp_path)) as client:
        given = await client.get("/v1/nothing", headers={"x-request-id": "my-request-0001"})
        assert given.headers["x-request-id"] == "my-request-0001"
        evil = await client.get("/v1/nothing", headers={"x-request-id": "a b;<script>"})
        assert evil.headers["x-request-id"].startswith("req_")


async def test_the_administrator_and_services_may_enter(tmp_path: Path) -> None:
    async with asgi_client(_app(tmp_path)) as client:
        assert (await client.get("/admin/only", headers=admin_headers("acme"))).json()["tenant"] == "acme"
        assert (await client.get("/admin/only", headers=service_headers("demo", "acme"))).json()["tenant"] == "acme"
        assert (await client.get("/admin/only", headers=service_headers("other", "acme"))).status_code == 401


async def test_the_client_speaks_to_the_application_and_shares_its_trace(tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    app = _app(tmp_path, trace_file_dir=str(traces))
    platform = platform_settings(tmp_path, trace_file_dir=str(traces))
    tracing = Tracing("caller", platform)
    async with asgi_client(app):
        tokens = ServiceTokens(platform.service_secret.get_secret_value(), "caller")
        client = ServiceClient("demo", "http://test", tokens, AsgiTransport(app), tracing)
        answer = await client.request("POST", "/v1/echo/x", Order(n=7), reply=Echo, tenant="acme")
        assert answer == Echo(tenant="acme", n=7)
        with pytest.raises(Conflict, match="It is busy"):
            await client.request("POST", "/v1/echo/busy", Order(n=7), reply=Echo, tenant="acme")
        with pytest.raises(NotFound):
            await client.call("GET", "/v1/nothing", tenant="acme")
        app.state.deps.tracing.flush()
    tracing.close()
    spans = {}
    for service in ("caller", "demo"):
        for line in (traces / f"{service}.jsonl").read_bytes().splitlines():
            for span in orjson.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                spans.setdefault(span["traceId"], []).append((service, span.get("parentSpanId"), span["spanId"]))
    first = next(rows for rows in spans.values() if len(rows) == 2)
    parent, child = sorted(first)
    assert (parent[0], child[0]) == ("caller", "demo")
    assert child[1] == parent[2]
    assert all(len(trace_id) == 32 for trace_id in spans)


class FlakyTransport:
    """Answers from a script: an exception is raised, a status is answered."""

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.calls = 0
        self.bodies: list[bytes | None] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        self.calls += 1
        self.bodies.append(body)
        step = self.script.pop(0) if self.script else 200
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, HttpAnswer):
            return step
        return HttpAnswer(int(str(step)), {}, b'{"tenant": "t", "n": 1}')


def _client(tmp_path: Path, transport: FlakyTransport) -> ServiceClient:
    platform = platform_settings(tmp_path)
    tokens = ServiceTokens(platform.service_secret.get_secret_value(), "caller")
    return ServiceClient("demo", "http://demo", tokens, transport, Tracing("caller", platform))


async def test_safe_calls_are_tried_again_and_others_are_not(tmp_path: Path) -> None:
    flaky = FlakyTransport(ConnectionError(), 503)
    assert (await _client(tmp_path, flaky).request("GET", "/x", reply=Echo, tenant="t")).n == 1
    assert flaky.calls == 3
    once = FlakyTransport(ConnectionError())
    with pytest.raises(DependencyUnavailable, match="cannot be reached"):
        await _client(tmp_path, once).request("POST", "/x", Order(n=1), reply=Echo, tenant="t")
    assert once.calls == 1


class Wish(Request):
    """A request of a newer version: `kind` and `way` are new."""

    n: int
    kind: str = "plain"
    way: str | None = None


async def test_what_is_not_asked_for_is_not_sent_so_that_older_services_answer(tmp_path: Path) -> None:
    flaky = FlakyTransport()
    client = _client(tmp_path, flaky)
    for wish, whole in ((Wish(n=1, kind="plain", way=None), False), (Wish(n=1, kind="new"), False), (Wish(n=1), True)):
        await client.request("POST", "/x", wish, reply=Echo, tenant="t", whole=whole)
    assert flaky.bodies == [b'{"n":1}', b'{"n":1,"kind":"new"}', b'{"n":1,"kind":"plain"}']


async def test_a_503_that_says_when_to_come_back_is_an_answer(tmp_path: Path) -> None:
    """Such as the router's for a route whose models are all down: neither asked again at once nor a sign that the service is away."""
    refused = HttpAnswer(503, {"retry-after": "5"}, b'{"detail": "All is down.", "code": "no_deployment"}')
    flaky = FlakyTransport(*[refused] * 6)
    client = _client(tmp_path, flaky)
    for _ in range(6):
        with pytest.raises(DependencyUnavailable, match="All is down") as raised:
            await client.request("POST", "/x", Order(n=1), reply=Echo, tenant="t", idempotent=True)
        assert (raised.value.code, raised.value.headers["Retry-After"]) == ("no_deployment", "5")
    assert flaky.calls == 6
    assert (await client.request("GET", "/x", reply=Echo, tenant="t")).n == 1


async def test_a_service_that_stays_away_is_not_asked_again_for_a_while(tmp_path: Path) -> None:
    away = FlakyTransport(*[ConnectionError()] * 20)
    client = _client(tmp_path, away)
    for _ in range(2):
        with pytest.raises(DependencyUnavailable):
            await client.call("GET", "/x", tenant="t")
    calls = away.calls
    with pytest.raises(DependencyUnavailable, match="not answering"):
        await client.call("GET", "/x", tenant="t")
    assert away.calls == calls == 5


async def test_callers_in_a_hurry_do_not_have_a_service_left_alone(tmp_path: Path) -> None:
    slow = FlakyTransport(*[TimeoutError()] * 20)
    client = _client(tmp_path, slow)
    for allowed in ["50"] * 6 + [None] * 5:
        with deadline_after(allowed), pytest.raises(DeadlineExceeded):
            await client.call("GET", "/x", tenant="t")
    with pytest.raises(DependencyUnavailable, match="not answering"):
        await client.call("GET", "/x", tenant="t")
    assert slow.calls == 11


async def test_a_service_that_is_off_is_not_asked_and_the_error_says_what_to_set(tmp_path: Path) -> None:
    platform = platform_settings(tmp_path, services="guardrail")
    client, never = _client(tmp_path, FlakyTransport()), FlakyTransport()
    off = replace(client, transport=never, check=partial(platform.require, "retrieval"))
    with pytest.raises(ServiceOff, match="add `retrieval` to SLUICE_SERVICES"):
        await off.call("GET", "/x", tenant="t")
    assert never.calls == 0
    assert [name for name in SERVICES if platform.runs(name)] == ["gateway", "router", "guardrail"]
    assert all(platform_settings(tmp_path).runs(name) for name in SERVICES)


async def test_an_answer_in_a_foreign_shape_is_an_upstream_failure(tmp_path: Path) -> None:
    with pytest.raises(UpstreamFailed):
        await _client(tmp_path, FlakyTransport()).request("GET", "/x", reply=_Other, tenant="t")


class _Other(Reply):
    needed: int


async def test_the_documentation_page_asks_no_other_host_for_anything(tmp_path: Path) -> None:
    async with asgi_client(_app(tmp_path)) as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        assert re.findall(r"https?://[^\"'\s]+", page.text) == []
        found = re.findall(r'(?:href|src)="([^"]+)"', page.text)
        assert len(found) == 3  # style sheet, script, icon
        for path in [*found, "/openapi.json"]:
            assert (await client.get(path)).status_code == 200, path
