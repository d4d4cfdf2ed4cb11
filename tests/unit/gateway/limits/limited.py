"""A request path with limits, without a server: one process of those at a bank."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from gateway_parts import Parts, deployment, model, snapshot
from lease_bank import Bank, Counter

from sluice_gateway.dataplane.app import DataPlane
from sluice_gateway.dataplane.context import RequestContext, read_heads
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.sse import Usage
from sluice_gateway.dataplane.stages.record import record
from sluice_gateway.dataplane.table import CHAT, Endpoint
from sluice_gateway.domain.limits import LevelLimits
from sluice_gateway.domain.ports import KeyRecord

URL = "http://127.0.0.1:9/v1"
BODY = {"model": "small", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def limits(level: Any = "key", **values: float) -> LevelLimits:
    names = (
        "requests_per_minute",
        "tokens_per_minute",
        "max_concurrent",
        "budget_per_day_usd",
        "budget_per_month_usd",
    )
    return LevelLimits(level, f"{level}_1", *(values.get(name) for name in names))  # type: ignore[arg-type] # names of its fields


class Run:
    """A request path without a server, one process of those at a bank."""

    def __init__(self, bank: Bank, life: str, *levels: LevelLimits, **options: Any) -> None:
        self.store: Counter = bank.opened(life)
        self.parts = Parts(leases=self.store, options=Options(**options))
        self.limit(*levels)
        self.plane = DataPlane(self.parts.deps(), None)  # type: ignore[arg-type] # no server is asked for
        self.plane.use(snapshot(*(model(name, deployment(name, URL), price=price) for name, price in PRICES.items())))
        self.limits = self.plane.limits

    def limit(self, *levels: LevelLimits) -> None:
        """Give the key these limits from now on."""
        self.parts.keys.known[b"Bearer sk-test"] = KeyRecord("key_1", "tenant-a", "test", limits=levels)

    def context(self, endpoint: Endpoint = CHAT, **changes: Any) -> RequestContext:
        heads = read_heads([(b"authorization", b"Bearer sk-test")])
        return self.plane.admit(endpoint, heads, 0.0, self.plane.open(heads), orjson.dumps(BODY | changes))

    async def enter(self, **changes: Any) -> RequestContext:
        ctx = self.context(**changes)
        await self.limits.enter(ctx)
        return ctx

    def end(self, ctx: RequestContext, prompt: int = 10, completion: int = 5) -> None:
        ctx.dispatched, ctx.usage = True, Usage(prompt, completion)
        record(ctx, self.parts.usage, 1.0)


PRICES = {"small": {"input": 1.0, "output": 2.0}, "dear": {"input": 100.0, "output": 200.0}, "unpriced": None}


@asynccontextmanager
async def running(
    *levels: LevelLimits, bank: Bank | None = None, life: str = "a", **options: Any
) -> AsyncIterator[Run]:
    run = Run(bank or Bank(), life, *levels, **options)
    loop = asyncio.create_task(run.plane.leases.run())
    try:
        yield run
    finally:
        loop.cancel()
        await run.plane.close()
