"""How long a gateway is without budgets that are wanted all at once, after Redis was started anew without its data.

`python -m tests.bench.budgets_again` gives each of 10,000 keys a budget and 20 usage records, lets a request of each reserve, and kills Redis.
Its successor is empty. Within one second of its start a request of each key comes, and again two seconds after a refusal, until each has been
let through. What is measured is the request path's own limiter with a real Redis and SQLite or PostgreSQL, in one process with those who ask.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
import uvloop
from sqlalchemy import Table, insert
from tests.simulators.gateway_parts import Keys, Parts, deployment, model, snapshot

from sluice.clock import SystemClock
from sluice.db import Database, open_database
from sluice.migrations import upgrade
from sluice.redis import open_redis
from sluice.settings import PlatformSettings
from sluice.testing import platform_settings, postgres_server, valkey_process
from sluice.testing.servers import Valkey
from sluice_gateway.adapters.lease_store import RedisLeaseStore
from sluice_gateway.dataplane.app import DataPlane
from sluice_gateway.dataplane.context import RequestContext, read_heads
from sluice_gateway.dataplane.errors import ApiError
from sluice_gateway.dataplane.table import CHAT
from sluice_gateway.domain.leases import window_at
from sluice_gateway.domain.limits import LevelLimits
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.tables import UsageRow
from sluice_gateway.usage_store import UsageStore
from sluice_gateway.wiring import MIGRATIONS

_WITHIN_S = 1.0
_FIRST_WITHIN_S = 10.0
_ROUNDS = 3
_REST_S = 3.0
_AGAIN_S = 2.0
_RECORDS = 20
_AT_ONCE = 5000
_BODY = orjson.dumps({"model": "small", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]})


class Found(NamedTuple):
    """Seconds until half, and all, were let through, and how many refusals there were meanwhile."""

    half_s: float
    all_s: float
    refused: int


def _record(number: int, at: float) -> dict[str, Any]:
    key, which = divmod(number, _RECORDS)
    text = dict.fromkeys(("request_id", "tenant", "endpoint", "model"), "x")
    counts = {
        "day": int(at // 86_400),
        "http_status": 200,
        "prompt_tokens": 10,
        "completion_tokens": 10,
        "citations": 0,
    }
    return {
        **text,
        **counts,
        "event_id": f"evt_{number}",
        "at": at + which,
        "key_id": f"key_{key}",
        "status": "ok",
        "stream": False,
        "tokens_exact": True,
        "cost_usd": 0.001,
        "duration_ms": 1.0,
        "guard_issues": [],
        "life": f"life_{which % 2}",
    }


async def _fill(database: Database, keys: int) -> None:
    at, table = window_at("month", SystemClock.now()).begins, cast("Table", UsageRow.__table__)
    for start in range(0, keys * _RECORDS, _AT_ONCE):
        rows = [_record(number, at) for number in range(start, min(keys * _RECORDS, start + _AT_ONCE))]
        async with database.write() as session:
            await session.execute(insert(table), rows)


def _keys(count: int) -> Keys:
    def one(number: int) -> KeyRecord:
        limits = LevelLimits("key", f"key_{number}", None, None, None, None, 10.0)
        return KeyRecord(f"key_{number}", "tenant-a", "test", limits=(limits,))

    return Keys({f"Bearer sk-{number}".encode(): one(number) for number in range(count)})


@asynccontextmanager
async def _path(platform: PlatformSettings, database: Database, keys: int) -> AsyncIterator[DataPlane]:
    redis = open_redis(platform, retries=0)
    store = RedisLeaseStore(redis, UsageStore(database), "life_now", grace_s=1.0, dead_after_s=5.0)
    parts = Parts(leases=store, keys=_keys(keys))
    plane = DataPlane(parts.deps(), None)  # type: ignore[arg-type] # no server is asked for
    plane.use(snapshot(model("small", deployment("small", "http://127.0.0.1:9/v1"))))
    running = asyncio.create_task(plane.leases.run())
    try:
        yield plane
    finally:
        running.cancel()
        await plane.close()
        await redis.aclose()


def _context(plane: DataPlane, number: int) -> RequestContext:
    heads = read_heads([(b"authorization", f"Bearer sk-{number}".encode())])
    return plane.admit(CHAT, heads, 0.0, plane.open(heads), _BODY)


async def _all_enter(plane: DataPlane, keys: int, within_s: float) -> Found:
    loop = asyncio.get_running_loop()
    began = loop.time()
    times: list[float] = []
    refused = 0

    async def ask(number: int) -> None:
        nonlocal refused
        await asyncio.sleep(number / keys * within_s)
        while True:
            try:
                ctx = _context(plane, number)
                await plane.limits.enter(ctx)
            except ApiError:
                refused += 1
                await asyncio.sleep(_AGAIN_S)
            else:
                times.append(loop.time() - began)
                if ctx.reservation is not None:
                    ctx.reservation.settle(0, 1000)
                return

    async with asyncio.TaskGroup() as asking:
        for number in range(keys):
            asking.create_task(ask(number))
    times.sort()
    return Found(times[len(times) // 2], times[-1], refused)


async def _start_anew(plane: DataPlane, valkey: Valkey, data: Path) -> None:
    await asyncio.to_thread(valkey.kill)
    while not plane.leases.degraded:  # until the gateway has noticed
        await asyncio.sleep(0.05)
    shutil.rmtree(data / "appendonlydir")
    await asyncio.to_thread(valkey.start)


async def _measured(platform: PlatformSettings, valkey: Valkey, data: Path, keys: int) -> None:
    await upgrade(platform, "gateway", MIGRATIONS)
    async with AsyncExitStack() as stack:
        database = open_database(platform, "gateway")
        stack.push_async_callback(database.close)
        await _fill(database, keys)
        plane = await stack.enter_async_context(_path(platform, database, keys))
        await _all_enter(plane, keys, _FIRST_WITHIN_S)
        for _ in range(_ROUNDS):
            await asyncio.sleep(_REST_S)
            await _start_anew(plane, valkey, data)
            cpu = time.process_time()
            found = await _all_enter(plane, keys, _WITHIN_S)
            cpu = time.process_time() - cpu
            print(f"| {found.half_s:.1f} s | {found.all_s:.1f} s | {found.refused:,} | {cpu:.1f} s |", flush=True)


async def _main(keys: int, databases: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name in databases:
            data = Path(folder, f"valkey-{name}")
            valkey = stack.enter_context(valkey_process(data))
            url = "" if name == "sqlite" else stack.enter_context(postgres_server(Path(folder) / "pg"))
            platform = platform_settings(Path(folder), redis_url=valkey.url, database_url=url)
            print(f"\n{name}, {keys:,} budgets\n\n| half | all | refused | CPU time |\n| ---: | ---: | ---: | ---: |")
            await _measured(platform, valkey, data, keys)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgres"], choices=["sqlite", "postgres"])
    given = parser.parse_args()
    uvloop.run(_main(given.keys, given.databases))
