"""A gateway and its worker as processes, with a provider behind them that counts what it is asked."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import redis
from openai.types import Batch
from openai_provider import Behaviour, Provider
from tests.integration.databases import set_up_schema
from tests.integration.gateway.control_plane import snapshot

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, RoutingSnapshot
from sluice.settings import PlatformSettings
from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings
from sluice_gateway.wiring import MIGRATIONS

ENDED = ("completed", "failed", "expired", "cancelled")
CHAT = "/v1/chat/completions"
QUICK: Mapping[str, str] = {
    "SLUICE_GATEWAY_BATCH_LEASE_S": "2",
    "SLUICE_GATEWAY_BATCH_SWEEP_S": "0.3",
    "SLUICE_GATEWAY_BATCH_RESEND_S": "3",
    "SLUICE_GATEWAY_BATCH_FIRST_PAUSE_S": "0.05",
    "SLUICE_GATEWAY_BATCH_GRACE_S": "1",
}


@dataclass
class Running:
    """The processes, and clients for them."""

    url: str
    gateway: ServiceProcess
    environment: dict[str, str]
    platform: PlatformSettings
    provider: Provider
    logs: Path
    workers: list[ServiceProcess] = field(default_factory=list)
    clients: list[openai.AsyncOpenAI] = field(default_factory=list)

    def key(self, tenant: str = "acme", **fields: Any) -> dict[str, Any]:
        """Make an API key."""
        wish = {"name": "batch", "tenant": tenant, **fields}
        made = httpx.post(f"{self.url}/admin/keys", json=wish, headers=admin_headers(), timeout=60)
        assert made.status_code == 201, made.text
        found: dict[str, Any] = made.json()
        return found

    def client(self, key: str = "", *, tenant: str = "acme") -> openai.AsyncOpenAI:
        """Return an official client with a key."""
        made = openai.AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=key or self.key(tenant)["key"], max_retries=0, timeout=60
        )
        self.clients.append(made)
        return made

    def worker(self, **changes: str) -> ServiceProcess:
        """Start one more worker and wait until it is ready."""
        port = free_port()
        environment = {
            **self.environment,
            "SLUICE_GATEWAY_WORKER_PORT": str(port),
            "SLUICE_GATEWAY_CONSUMER_NAME": f"worker-{len(self.workers)}",
            "SLUICE_GATEWAY_WORKER_NICENESS": "0",  # the other tests would go first, all the time
            **changes,
        }
        log = self.logs / f"worker-{len(self.workers)}.log"
        process = ServiceProcess("sluice_gateway", ["worker"], environment, log).start()
        self.workers.append(process)
        process.wait_ready(f"http://127.0.0.1:{port}/readyz")
        return process

    def asked(self) -> Counter[str]:
        """Count how often the provider was asked each question."""
        return Counter(seen.json["messages"][-1]["content"] for seen in self.provider.seen)


@asynccontextmanager
async def batch_platform(
    tmp_path: Path,
    redis_url: str,
    database_url: str = "",
    behaviour: Behaviour | None = None,
    guardrail_port: int = 9,
    routed: Callable[[str], RoutingSnapshot] | None = None,
    **changes: str,
) -> AsyncIterator[Running]:
    """Run a gateway on real servers, with a model `mock` whose provider behaves as told, or with what is `routed` to its address."""
    port = free_port()
    platform = platform_settings(
        tmp_path,
        redis_url=redis_url,
        database_url=database_url,
        router_url="http://127.0.0.1:9",
        guardrail_url=f"http://127.0.0.1:{guardrail_port}",
        gateway_url=f"http://127.0.0.1:{port}",
    )
    await set_up_schema(platform, "gateway", MIGRATIONS)
    environment = {**environment_of(platform), "SLUICE_GATEWAY_PORT": str(port), **QUICK, **changes}
    gateway = ServiceProcess("sluice_gateway", ["serve"], environment, tmp_path / "gateway.log")
    async with Provider(default=behaviour or Behaviour()) as provider:
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
            client.set(SNAPSHOT_KEY, (routed or routing)(provider.base_url).model_dump_json())
        url = f"http://127.0.0.1:{port}"
        running = Running(url, gateway, environment, platform, provider, tmp_path)
        try:
            gateway.start()
            gateway.wait_ready(f"{url}/readyz")
            yield running
        finally:
            for opened in running.clients:
                await opened.close()
            for worker in running.workers:
                worker.stop()
            gateway.stop()


def routing(base_url: str) -> RoutingSnapshot:
    """Return a snapshot with the chat model `mock`, the embedding model `vectors` and the ranking model `ranker`."""
    chat = snapshot(1, base_url)
    deployment = Deployment(id="vectors-1", base_url=base_url, upstream_model="vectors")
    vectors = Model(name="vectors", kind="embedding", deployments=(deployment,))
    ranker = Model(name="ranker", kind="rerank", deployments=(deployment.model_copy(update={"id": "ranker-1"}),))
    return chat.model_copy(update={"models": (*chat.models, vectors, ranker)})


def chat_line(number: int, **changes: Any) -> dict[str, Any]:
    """Return a line of a batch that asks its own number."""
    body = {"model": "mock", "messages": [{"role": "user", "content": f"q{number}"}]}
    return {"custom_id": f"c{number}", "method": "POST", "url": CHAT, "body": body, **changes}


def jsonl(*lines: object) -> bytes:
    """Return lines as a file."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def upload(client: openai.AsyncOpenAI, content: bytes) -> str:
    """Upload a batch's input."""
    return (await client.files.create(file=("in.jsonl", content), purpose="batch")).id


async def submit(client: openai.AsyncOpenAI, content: bytes, **fields: Any) -> Batch:
    """Upload an input and make a batch of it."""
    return await client.batches.create(
        input_file_id=await upload(client, content), endpoint=CHAT, completion_window="24h", **fields
    )


async def lines_of(client: openai.AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """Return the lines of an output or error file."""
    assert file_id is not None
    return [json.loads(line) for line in (await client.files.content(file_id)).text.splitlines()]
