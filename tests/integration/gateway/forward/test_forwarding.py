"""Paths that other services own: what reaches the service, and what comes back."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from aiohttp import web
from tests.integration.databases import set_up_schema

from sluice.auth import ServiceTokens
from sluice.testing import admin_headers, free_port, platform_settings
from sluice_gateway.app import create_app, in_front
from sluice_gateway.settings import Settings
from sluice_gateway.wiring import MIGRATIONS, open_deps

pytestmark = pytest.mark.integration
PATIENCE_S = 60.0


class Owner:
    """A service that notes what it is asked and answers as the path says."""

    def __init__(self) -> None:
        self.seen: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.broke_off = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        name = request.path.rsplit("/", 1)[-1]
        if name == "early":
            return web.Response(status=202)
        self.bodies.append(await request.read())
        if name == "problem":
            return web.json_response(
                {
                    "type": "urn:sluice:error:invalid_request",
                    "title": "Invalid request",
                    "status": 422,
                    "detail": "body.name: too long",
                    "code": "invalid_request",
                    "errors": [{"loc": "body.name", "msg": "too long"}],
                },
                status=422,
                content_type="application/problem+json",
            )
        if name.isdigit():
            return web.Response(status=int(name), text="<html>internal host db-7</html>", headers={"Retry-After": "7"})
        if name == "slow":
            await asyncio.sleep(60)
        if name == "moved":
            raise web.HTTPTemporaryRedirect(f"http://{request.host}/v1/feedback/there")
        if name == "stream":
            return await self._stream(request)
        return web.json_response(
            {"path": request.raw_path}, headers={"Set-Cookie": "a=b", "X-Owner": "yes", "Server": "x"}
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        try:
            for number in range(600):
                await answer.write(b"data: %d\n\n" % number)
                await asyncio.sleep(0.05)
        except (ConnectionError, asyncio.CancelledError):
            self.broke_off.set()
            raise
        return answer


class Running(NamedTuple):
    """A gateway on a port, the service behind it, and an API key's header."""

    url: str
    owner: Owner
    headers: dict[str, str]
    key_id: str
    secret: str


@asynccontextmanager
async def owner_service() -> AsyncIterator[tuple[Owner, str]]:
    owner = Owner()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", owner.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield owner, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def on_a_port(app: Any) -> AsyncIterator[str]:
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, ws="none", lifespan="on")
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    while not server.started:
        assert not serving.done(), serving.exception()
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving


@pytest.fixture
async def running(tmp_path: Path, flushed_valkey: str) -> AsyncIterator[Running]:
    async with owner_service() as (owner, owner_url):
        urls = {f"{name}_url": owner_url for name in ("retrieval", "feedback", "finetune", "eval")}
        platform = platform_settings(tmp_path, redis_url=flushed_valkey, router_url="http://127.0.0.1:9", **urls)
        await set_up_schema(platform, "gateway", MIGRATIONS)
        settings = Settings(_env_file=None, max_body_bytes=4096, max_upload_bytes=200_000, forward_timeout_s=3.0)
        app = create_app(lambda: open_deps(platform, settings))
        async with on_a_port(in_front(app, settings)) as url:
            async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
                made = await client.post(
                    f"{url}/admin/keys", json={"name": "k", "tenant": "acme"}, headers=admin_headers()
                )
            key = made.json()
            yield Running(
                url,
                owner,
                {"authorization": f"Bearer {key['key']}"},
                key["id"],
                platform.service_secret.get_secret_value(),
            )


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/v1/vector_stores", "retrieval"),
        ("/v1/vector_stores/vs_1/search", "retrieval"),
        ("/v1/context", "retrieval"),
        ("/v1/feedback/fb_1", "feedback"),
        ("/v1/fine_tuning/jobs", "finetune"),
        ("/v1/files/file_1/validation", "finetune"),
        ("/v1/evals/runs", "eval"),
    ],
)
async def test_the_owner_learns_for_which_tenant_and_key_and_nothing_of_the_key_itself(
    running: Running, path: str, service: str
) -> None:
    async with httpx.AsyncClient(headers=running.headers, timeout=PATIENCE_S) as client:
        answer = await client.post(
            f"{running.url}{path}?a=%2F&b=1",
            json={"x": 1},
            headers={
                "x-sluice-tenant": "other",
                "cookie": "s=1",
                "idempotency-key": "abc-123-xyz",
                "x-request-id": "req-of-caller",
            },
        )
    assert answer.status_code == 200
    assert answer.json() == {"path": f"{path}?a=%2F&b=1"}
    assert answer.headers["x-owner"] == "yes"
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-request-id"] == "req-of-caller"
    seen = running.owner.seen[0].headers
    caller = ServiceTokens(running.secret, "test").verify(seen["authorization"].removeprefix("Bearer "), service)
    assert (caller.tenant, caller.key_id, caller.role) == ("acme", running.key_id, "member")
    assert running.owner.bodies == [b'{"x":1}']
    assert (seen["x-request-id"], seen["idempotency-key"]) == ("req-of-caller", "abc-123-xyz")
    assert 0 < int(seen["x-sluice-deadline-ms"]) <= 3000
    assert not {"x-sluice-tenant", "cookie"} & {name.lower() for name in seen}


async def test_without_a_valid_key_nothing_is_passed_on(running: Running) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        for headers in ({}, {"authorization": "Bearer sk-slc-wrong"}, admin_headers()):
            answer = await client.get(f"{running.url}/v1/feedback", headers=headers)
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
    assert not running.owner.seen


async def test_a_problem_becomes_an_openai_error(running: Running) -> None:
    async with httpx.AsyncClient(headers=running.headers, timeout=PATIENCE_S) as client:
        answer = await client.post(f"{running.url}/v1/feedback/problem", json={})
    assert answer.status_code == 422
    assert answer.json() == {
        "error": {
            "message": "body.name: too long",
            "type": "invalid_request_error",
            "param": "name",
            "code": "invalid_request",
        }
    }


@pytest.mark.parametrize(("status", "shown"), [(404, 404), (401, 502), (500, 502), (503, 503), (429, 429)])
async def test_other_errors_keep_their_meaning_and_show_nothing_of_the_inside(
    running: Running, status: int, shown: int
) -> None:
    async with httpx.AsyncClient(headers=running.headers, timeout=PATIENCE_S) as client:
        answer = await client.get(f"{running.url}/v1/feedback/{status}")
    assert answer.status_code == shown
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"]["message"]
    assert "db-7" not in answer.text


async def test_a_redirect_never_names_the_inside(running: Running) -> None:
    async with httpx.AsyncClient(headers=running.headers, timeout=PATIENCE_S) as client:
        answer = await client.get(f"{running.url}/v1/feedback/moved")
    assert (answer.status_code, answer.headers["location"]) == (307, "/v1/feedback/there")


async def test_bodies_are_limited_announced_or_not_and_uploads_may_be_longer(running: Running) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 1000

    async with httpx.AsyncClient(headers=running.headers, timeout=PATIENCE_S) as client:
        path = f"{running.url}/v1/feedback"
        announced = await client.post(path, content=b"x" * 4097)
        streamed = await client.post(path, content=chunks())
        exact = await client.post(path, content=b"x" * 4096)
        upload = await client.post(path, files={"file": ("a.jsonl", b"y" * 150_000)})
        too_long = await client.post(path, files={"file": ("a.jsonl", b"y" * 250_000)})
    assert [answer.status_code for answer in (announced, streamed, exact, upload, too_long)] == [
        413,
        413,
        200,
        200,
        413,
    ]
    assert announced.json()["error"]["code"] == "payload_too_large"
    assert b"y" * 150_000 in running.owner.bodies[-1]


async def test_a_stream_comes_as_it_is_made_and_ends_when_the_caller_goes(running: Running) -> None:
    began = time.monotonic()
    async with (
        httpx.AsyncClient(headers=running.headers, timeout=PATIENCE_S) as client,
        client.stream("GET", f"{running.url}/v1/evals/stream") as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: 0"
        assert time.monotonic() - began < 20, "the whole of it takes half a minute"
    async with asyncio.timeout(60):
        await running.owner.broke_off.wait()


async def test_an_owner_that_is_slow_is_said_in_a_sentence(running: Running) -> None:
    async with httpx.AsyncClient(headers=running.headers, timeout=PATIENCE_S) as client:
        slow = await client.get(f"{running.url}/v1/feedback/slow")
        assert (slow.status_code, slow.json()["error"]["type"]) == (504, "timeout_error")


async def test_a_path_cannot_climb_out(running: Running) -> None:
    async with httpx.AsyncClient(headers=running.headers, timeout=PATIENCE_S) as client:
        for path in ("/v1/feedback/%2e%2e/%2e%2e/internal", "/v1/feedback/./x"):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rsplit(":", 1)[1]))
            auth = running.headers["authorization"]
            writer.write(
                f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: {auth}\r\nconnection: close\r\n\r\n".encode()
            )
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            assert b" 404 " in answer.split(b"\r\n", 1)[0]
            assert json.loads(answer.rsplit(b"\r\n\r\n", 1)[1])["error"]["code"] == "not_found"
        assert (await client.get(f"{running.url}/v1/filesystem")).status_code == 404
    assert not running.owner.seen


async def test_an_owner_that_is_away_is_503(tmp_path: Path, flushed_valkey: str) -> None:
    platform = platform_settings(
        tmp_path,
        redis_url=flushed_valkey,
        router_url="http://127.0.0.1:9",
        retrieval_url=f"http://127.0.0.1:{free_port()}",
    )
    await set_up_schema(platform, "gateway", MIGRATIONS)
    settings = Settings(_env_file=None)
    app = create_app(lambda: open_deps(platform, settings))
    async with on_a_port(in_front(app, settings)) as url, httpx.AsyncClient(timeout=PATIENCE_S) as client:
        made = await client.post(f"{url}/admin/keys", json={"name": "k"}, headers=admin_headers())
        answer = await client.post(
            f"{url}/v1/context", json={}, headers={"authorization": f"Bearer {made.json()['key']}"}
        )
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "service_unavailable")
    assert answer.headers["retry-after"] == "2"
