"""A real gateway under load: a new configuration drops nothing, and neither does its end."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from openai_provider import Behaviour, Provider
from tests.integration.gateway.control_plane import snapshot

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, RoutingSnapshot
from sluice.queues import ROUTING_CHANGED, RoutingChanged
from sluice.testing import ServiceProcess, admin_headers, free_port, platform_settings, valkey_process
from sluice.testing.apps import environment_of
from sluice.testing.servers import Valkey

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**BODY, "stream": True}


@dataclass
class Running:
    """The gateway's process, its providers, and what its clients saw."""

    process: ServiceProcess
    url: str
    valkey: Valkey
    provider: Provider
    client: httpx.AsyncClient
    key: dict[str, str] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, routing: RoutingSnapshot) -> None:
        """Do what the router does with a new configuration."""
        with redis.Redis.from_url(self.valkey.url) as direct:
            direct.set(SNAPSHOT_KEY, routing.model_dump_json())
            direct.publish(ROUTING_CHANGED.name, RoutingChanged(version=routing.version).model_dump_json())

    async def ask(self, body: dict[str, Any]) -> str:
        """Return what came of one request in a word: `whole`, `stream`, or what was wrong."""
        try:
            answer = await self.client.post(f"{self.url}{CHAT}", json=body, headers=self.key)
        except httpx.HTTPError as exc:
            return f"broken: {exc!r}"
        if answer.status_code != 200:
            return answer.text
        if body.get("stream"):
            return "stream" if answer.text.endswith("data: [DONE]\n\n") else f"cut: {answer.text[-300:]}"
        return "whole"

    async def ask_on(self, body: dict[str, Any]) -> None:
        while not self.stop.is_set():
            self.seen[await self.ask(body)] += 1


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        valkey = stack.enter_context(valkey_process(tmp_path / "valkey"))
        provider = await stack.enter_async_context(Provider(Behaviour(chunk_delay_s=0.01)))
        platform = platform_settings(
            tmp_path, redis_url=valkey.url, router_url="http://127.0.0.1:9", drain_s=2.0, finish_s=2.0, log_level="info"
        )
        port = free_port()
        environment = {**environment_of(platform), "SLUICE_GATEWAY_PORT": str(port)}
        log = tmp_path / "gateway.log"
        process = ServiceProcess("sluice_gateway", ["serve"], environment, log, cwd=tmp_path)
        url = f"http://127.0.0.1:{port}"
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        found = Running(process, url, valkey, provider, client)
        found.publish(snapshot(1, provider.base_url))
        stack.enter_context(process)
        await asyncio.to_thread(process.wait_ready, f"{url}/readyz")
        made = await client.post(f"{url}/admin/keys", json={"name": "k", "tenant": "acme"}, headers=admin_headers())
        found.key = {"authorization": f"Bearer {made.json()['key']}"}
        yield found


async def until(check: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(60):
        while not check():
            await asyncio.sleep(0.01)


async def test_a_new_configuration_drops_no_request_and_no_stream_and_neither_does_the_end(running: Running) -> None:
    async with Provider(Behaviour(chunk_delay_s=0.01)) as other:
        load = [asyncio.create_task(running.ask_on(body)) for body in (BODY, STREAM) * 4]
        await until(lambda: running.seen.total() > 20, "some answers")
        for version in range(2, 22):  # a deployment goes, another comes, and the reverse
            place = Deployment(
                id=f"d{version % 2}", base_url=(running.provider, other)[version % 2].base_url, upstream_model="mock"
            )
            running.publish(snapshot(version, models=(Model(name="mock", deployments=(place,)),)))
            before = running.seen.total()
            await until(lambda before=before: running.seen.total() > before + 3, "more answers")
        assert set(running.seen) == {"whole", "stream"}
        assert len(other.seen) > 10
        await leave(running, other)
        await asyncio.gather(*load)
    assert set(running.seen) == {"whole", "stream"}


async def leave(running: Running, other: Provider) -> None:
    """Stop the gateway while a stream runs that ends in time, and one that does not."""
    running.provider.for_request["ends-in-time"] = other.for_request["ends-in-time"] = Behaviour(chunk_delay_s=0.1)
    running.provider.for_request["never-ends"] = other.for_request["never-ends"] = Behaviour(hold_after=3)
    streams = [
        asyncio.create_task(running.client.post(f"{running.url}{CHAT}", json=STREAM, headers={**running.key, "x-request-id": name}))
        for name in ("ends-in-time", "never-ends")
    ]  # fmt: skip
    await until(lambda: "never-ends" in running.provider.held | other.held, "the stream that never ends")
    os.kill(running.process.pid, signal.SIGTERM)
    async with asyncio.timeout(60):
        while (ready := await running.client.get(f"{running.url}/readyz")).status_code == 200:
            await asyncio.sleep(0.01)
    running.stop.set()  # as a load balancer does
    assert ready.json()["checks"]["server"] == "It is being stopped."
    last = await running.client.post(f"{running.url}{CHAT}", json=BODY, headers=running.key)
    assert (last.status_code, last.headers.get_list("connection")) == (200, ["close"])
    other_last = await running.client.get(f"{running.url}/v1/models", headers=running.key)
    assert (other_last.status_code, other_last.headers.get_list("connection")) == (200, ["close"])
    in_time, never = await asyncio.gather(*streams)
    assert in_time.text.endswith("data: [DONE]\n\n")
    error = json.loads(never.text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]
    assert (error["code"], error["type"]) == ("gateway_stopping", "service_unavailable")
    await until(lambda: not running.process.alive(), "the end of the process")
    with pytest.raises(httpx.ConnectError):
        await running.client.get(f"{running.url}/readyz")
