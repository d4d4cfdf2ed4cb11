"""A gateway and its worker in one process, whose guard does as a test says."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import orjson
from gateway_parts import Guard, Keys, Parts, Served, serving
from openai_provider import Provider
from tests.integration.databases import set_up_schema

from sluice.auth import ServiceTokens
from sluice.clock import SystemClock
from sluice.contracts.guard import CheckRequest
from sluice.contracts.routing import RoutingSnapshot
from sluice.db import open_database
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import platform_settings
from sluice_gateway.adapters.batch_target import GatewayTarget
from sluice_gateway.adapters.delegation import ServiceDelegations
from sluice_gateway.dataplane.background import Background
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.domain.batches import OnBehalf
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.domain.responses import UNFINISHED
from sluice_gateway.responses.background_metrics import BackgroundMetrics
from sluice_gateway.responses.background_runner import BackgroundLimits, BackgroundRunner
from sluice_gateway.responses.background_store import BackgroundStore
from sluice_gateway.responses.conversation_store import ConversationStore
from sluice_gateway.responses.following import Follower
from sluice_gateway.responses.keeper import ResponseKeeper
from sluice_gateway.responses.store import ResponseStore
from sluice_gateway.usage.journal import Journal
from sluice_gateway.wiring import MIGRATIONS

TRIES = 2
_TENANT = "tenant-a"
_LOOK_S = 0.01
_TOKENS = ServiceTokens("x" * 32, "gateway")
_LIMITS = BackgroundLimits(
    lanes=16, look_s=0.05, lease_s=60, request_s=60, first_pause_s=0.01, grace_s=0, max_tries=TRIES, most_bytes=10**6, keep_s=86_400
)  # fmt: skip


@dataclass
class HeldGuard(Guard):
    """A guard that takes as long as the test wants."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def _wait(self, request: CheckRequest) -> None:
        await super()._wait(request)
        await self.gate.wait()


@dataclass
class _Keys(Keys):
    def on_behalf(self, authorization: bytes, now: float) -> KeyRecord | None:
        """Return the key for which the worker asks."""
        said = ServiceDelegations(_TOKENS).check(authorization.removeprefix(b"Bearer "))
        return next((one for one in self.known.values() if said is not None and one.key_id == said.key_id), None)


class _AllWork:
    async def works(self, who: OnBehalf) -> bool:
        return True


@dataclass
class World:
    """The gateway, and what it has kept."""

    served: Served
    provider: Provider
    http: httpx.AsyncClient
    keeper: ResponseKeeper
    conversations: ConversationStore
    store: BackgroundStore
    registry: MetricRegistry
    file: Path

    async def begin(self, model: str, text: Any = "x", **fields: Any) -> httpx.Response:
        """Ask for a response in the background."""
        body = {"model": model, "input": text, "background": True, **fields}
        return await self.http.post("/v1/responses", json=body)

    async def begun(self, model: str, text: Any = "x", **fields: Any) -> str:
        """Return the id of one that was begun."""
        answer = await self.begin(model, text, **fields)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["id"]
        return found

    async def now(self, response_id: str) -> dict[str, Any]:
        """Return a response as it is kept."""
        kept = await self.keeper.get(_TENANT, response_id)
        assert kept is not None
        found: dict[str, Any] = orjson.loads(kept.response)
        return found

    async def ended(self, response_id: str) -> dict[str, Any]:
        """Return a response when it has ended."""
        async with asyncio.timeout(60):
            while (found := await self.now(response_id))["status"] in UNFINISHED:
                await asyncio.sleep(0.02)
        return found

    async def until(self, check: Callable[[], object]) -> None:
        """Wait for something to be true."""
        async with asyncio.timeout(60):
            while not check():
                await asyncio.sleep(0.01)

    async def cancel(self, response_id: str) -> None:
        """Cancel a response as its route does, and wait until the gateway has seen that the worker has left."""
        await self.store.cancel(_TENANT, response_id, SystemClock().now())
        await self.until(lambda: "sluice_gateway_background_under_way 0.0" in self.registry.render()[0].decode())
        assert (await self.http.get("/v1/models")).status_code == 200, "what closed before has been read"
        for _ in range(4):  # a timer of the same loop looks which clients are there, and comes first
            await asyncio.sleep(_LOOK_S)

    def stored(self) -> str:
        """Return all that the database holds."""
        with closing(sqlite3.connect(self.file)) as database:
            return "\n".join(database.iterdump())


@asynccontextmanager
async def guarded_worker(
    folder: Path, routed: Callable[[Provider], RoutingSnapshot], guard: Guard | None = None
) -> AsyncIterator[World]:
    """Serve it over a SQLite file in `folder`, in front of a simulated provider."""
    platform = platform_settings(folder, redis_url="redis://127.0.0.1:9", router_url="http://127.0.0.1:9")
    await set_up_schema(platform, "gateway", MIGRATIONS)
    database, journal = open_database(platform, "gateway"), Journal(folder / "journal", name="responses")
    journal.open()
    clock, registry, conversations = SystemClock(), MetricRegistry(), ConversationStore(database)
    keeper = ResponseKeeper(
        journal, ResponseStore(database), conversations, clock, registry, keep_s=86_400, most_bytes=10**6, most_chain_bytes=10**6
    )  # fmt: skip
    store = BackgroundStore(database, 10**6)
    begins = Background(store, Follower(keeper.get, clock, longest_s=60), keeper, registry, wait_s=86_400)
    options = Options(watch_disconnect_after_s=_LOOK_S)
    parts = Parts(keys=_Keys(), guard=guard or Guard(), responses=keeper, background=begins, options=options)
    writing = asyncio.create_task(keeper.run())
    async with (
        Provider() as provider,
        serving(parts, routed(provider)) as served,
        aiohttp.ClientSession() as session,
        httpx.AsyncClient(base_url=served.url, headers={"authorization": "Bearer sk-test"}, timeout=60) as http,
    ):
        target = GatewayTarget(session, served.url, _TOKENS, 10**7)
        runner = BackgroundRunner(store, target, _AllWork(), clock, BackgroundMetrics(registry), _LIMITS, "worker")
        working = asyncio.create_task(runner.run())
        yield World(
            served, provider, http, keeper, conversations, store, registry, platform.data_dir / "gateway.sqlite"
        )
        working.cancel()
        await runner.close()
    writing.cancel()
    await database.close()
    journal.close()
