"""Several real gateway processes and a worker on one Valkey and one database, in front of the provider simulator."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis
from openai_provider import Behaviour, Provider

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, Price, RoutingSnapshot
from sluice.testing import ServiceProcess, admin_headers, free_port, platform_settings, valkey_process
from sluice.testing.apps import environment_of
from sluice.testing.servers import Valkey

INPUT, OUTPUT = 100.0, 1000.0  # dollars per million tokens
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
MESSAGES, RESPONSES = "/v1/messages", "/v1/responses"


def models(base_url: str) -> RoutingSnapshot:
    """Return a routing snapshot with chat models that cost more or less, or nobody knows what, and an embedding model."""

    def model(name: str, **fields: Any) -> Model:
        place = Deployment(
            id=f"{name}-1", base_url=base_url, upstream_model=name, max_in_flight=500, **fields.pop("place", {})
        )
        return Model(name=name, deployments=(place,), **fields)

    price = Price(input=INPUT, output=OUTPUT)
    return RoutingSnapshot(
        version=1,
        published_at=1.0,
        models=(
            model("chat", price=price),
            model("dear", price=Price(input=10 * INPUT, output=10 * OUTPUT)),
            model("embed", kind="embedding", price=price),
            model("away", price=price, fallbacks=("dear",), place={"connect_timeout_s": 0.1}),
            model("unpriced", price=None),
            model("far", price=price, fallbacks=("dear", "unpriced", "chat")),
        ),
    )


@dataclass
class Fleet:
    """The processes under test."""

    valkey: Valkey
    provider: Provider
    gateways: Sequence[ServiceProcess]
    urls: Sequence[str]
    worker: ServiceProcess
    client: httpx.AsyncClient
    spread: int = 0
    made: list[str] = field(default_factory=list)

    async def key(self, **limits: float) -> dict[str, str]:
        """Make an API key with limits and return its credential."""
        body = {"name": f"key{len(self.made)}", "tenant": "acme", "limits": limits}
        answer = await self.client.post(f"{self.urls[0]}/admin/keys", json=body, headers=admin_headers())
        assert answer.status_code == 201, answer.text
        self.made.append(answer.json()["id"])
        header = {"authorization": f"Bearer {answer.json()['key']}"}
        await self.known(header)
        return header

    async def known(self, header: dict[str, str]) -> None:
        """Wait until all gateways know a key."""
        for url in self.urls:
            while (await self.client.get(f"{url}/v1/models", headers=header)).status_code == 401:
                await asyncio.sleep(0.02)

    async def ask(self, key: dict[str, str], path: str = CHAT, at: int | None = None, **fields: Any) -> httpx.Response:
        """Send one request to the next gateway, or to a certain one."""
        self.spread += 1
        url = self.urls[(self.spread if at is None else at) % len(self.urls)]
        body = {**question(path), **fields}
        return await self.client.post(f"{url}{path}", json=body, headers=key)

    async def ask_many(self, count: int, key: dict[str, str], path: str = CHAT, **fields: Any) -> list[httpx.Response]:
        """Send requests at once, spread over the gateways."""
        return list(await asyncio.gather(*(self.ask(key, path, **fields) for _ in range(count))))

    async def batch(self, key: dict[str, str], count: int) -> str:
        """Submit a batch of equal requests to the first gateway and return its id."""
        lines = [{"custom_id": f"c{n}", "method": "POST", "url": CHAT, "body": question()} for n in range(count)]
        url = self.urls[0]
        form = {"file": ("in.jsonl", b"\n".join(json.dumps(line).encode() for line in lines))}
        file = await self.client.post(f"{url}/v1/files", data={"purpose": "batch"}, files=form, headers=key)
        assert file.status_code == 200, file.text
        wish = {"input_file_id": file.json()["id"], "endpoint": CHAT, "completion_window": "24h"}
        made = await self.client.post(f"{url}/v1/batches", json=wish, headers=key)
        assert made.status_code == 200, made.text
        return str(made.json()["id"])

    async def end_batch(self, key: dict[str, str], batch_id: str) -> dict[str, Any]:
        """Cancel a batch and return it when it has ended."""
        where = f"{self.urls[0]}/v1/batches/{batch_id}"
        assert (await self.client.post(f"{where}/cancel", headers=key)).status_code == 200

        async def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = (await self.client.get(where, headers=key)).json()
            return found if found["status"] == "cancelled" else None

        found: dict[str, Any] = await eventually(ended, seconds=60, what="the end of the batch")
        return found

    async def spent(self, key_id: str) -> float:
        """Return the dollars in the records of a key, when all that its gateways wrote down is there."""
        answer = await self.client.get(
            f"{self.urls[0]}/admin/usage/summary", params={"key_id": key_id, "group_by": "key"}, headers=admin_headers()
        )
        return float(answer.json()["totals"]["cost_usd"])

    async def rows(self, key_id: str) -> list[dict[str, Any]]:
        """Return the newest records of a key."""
        answer = await self.client.get(
            f"{self.urls[0]}/admin/usage", params={"key_id": key_id, "limit": 100}, headers=admin_headers()
        )
        return list(answer.json()["data"])

    async def metric(self, at: int, name: str) -> float:
        """Return the value of a metric, 0 when there is none; labels stand in its name."""
        text = (await self.client.get(f"{self.urls[at]}/metrics")).text
        return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)

    def start(self, at: int) -> None:
        """Start a gateway and wait until it is ready."""
        self.gateways[at].start()
        self.gateways[at].wait_ready(f"{self.urls[at]}/readyz")


def question(path: str = CHAT) -> dict[str, Any]:
    """Return a request whose answer is bounded."""
    if path == EMBEDDINGS:
        return {"model": "embed", "input": "hi"}
    if path == RESPONSES:
        return {"model": "chat", "max_output_tokens": 20, "input": "hi"}
    return {"model": "chat", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}


def statuses(answers: Sequence[httpx.Response]) -> Counter[int]:
    """Count the answers by status."""
    return Counter(answer.status_code for answer in answers)


def cost(answers: Sequence[httpx.Response]) -> float:
    """Return what whole answers cost."""
    return sum(float(answer.headers["x-sluice-cost"]) for answer in answers if answer.status_code == 200)


@asynccontextmanager
async def fleet(tmp_path: Path, gateways: int = 2, **extra: str) -> AsyncIterator[Fleet]:
    """Start everything."""
    async with AsyncExitStack() as stack:
        valkey = stack.enter_context(valkey_process(tmp_path / "valkey"))
        provider = await stack.enter_async_context(Provider(Behaviour(text="one two three four five")))
        with redis.Redis.from_url(valkey.url) as direct:
            direct.set(SNAPSHOT_KEY, models(provider.base_url).model_dump_json())
        processes, urls = [], []
        for number in range(gateways):
            platform = platform_settings(
                tmp_path / f"g{number}",
                redis_url=valkey.url,
                database_url=f"sqlite+aiosqlite:///{tmp_path}/gateway.sqlite",
                router_url="http://127.0.0.1:9",
                log_level="info",
            )
            port, worker_port = free_port(), free_port()
            environment = {
                **environment_of(platform),
                "SLUICE_GATEWAY_URL": f"http://127.0.0.1:{port}",
                "SLUICE_GATEWAY_PORT": str(port),
                "SLUICE_GATEWAY_WORKER_PORT": str(worker_port),
                "SLUICE_GATEWAY_USAGE_LINGER_S": "0.02",
                "SLUICE_GATEWAY_WORKER_NICENESS": "0",  # the other tests would go first, all the time
                **extra,
            }
            log = tmp_path / f"gateway{number}.log"
            processes.append(ServiceProcess("sluice_gateway", ["serve"], environment, log, cwd=tmp_path))
            urls.append(f"http://127.0.0.1:{port}")
            if number == 0:
                worker = ServiceProcess(
                    "sluice_gateway", ["worker"], environment, tmp_path / "worker.log", cwd=tmp_path
                )
                worker_url = f"http://127.0.0.1:{worker_port}/readyz"
        for process, url in zip(processes, urls, strict=True):
            stack.enter_context(process)
            await asyncio.to_thread(process.wait_ready, f"{url}/readyz")
        stack.enter_context(worker)
        await asyncio.to_thread(worker.wait_ready, worker_url)
        # Kept for longer than any pause of a test: httpcore may close a connection that expires just after it was given to a request.
        limits = httpx.Limits(max_connections=500, max_keepalive_connections=500, keepalive_expiry=60.0)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=60, limits=limits))
        yield Fleet(valkey, provider, processes, urls, worker, client)


async def eventually(check: Any, *, seconds: float = 60.0, what: str = "the condition") -> Any:
    """Await `check` until it returns something true."""
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        found = await check()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {seconds:.0f} s (last: {found!r})")
