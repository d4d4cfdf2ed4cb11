"""What writing usage costs the gateway's worker: CPU time for 1,000 records from the Redis stream to SQLite and PostgreSQL.

`python -m tests.bench.usage_writing` fills the stream as a gateway under load does (ten thousand records a second, entries of about
128 KiB) and lets the real consumer write all of it. It counts the CPU time of this process: reading, checking, summing up, and
SQLite itself; a PostgreSQL server's own time is not in it.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import orjson
from redis.asyncio import Redis

from sluice.db import open_database
from sluice.migrations import upgrade
from sluice.queues import USAGE, RowAppender
from sluice.redis import open_redis
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import platform_settings, postgres_server, valkey_server
from sluice_gateway.domain.ports import UsageFields
from sluice_gateway.settings import Settings
from sluice_gateway.wiring import MIGRATIONS
from sluice_gateway.worker_wiring import usage_consumer

ENTRY = 390  # records; an entry of them has about 128 KiB
A_SECOND = 10_000
START = 1_764_000_000
LOOK_S = 0.05


def _row(number: int) -> tuple[object, ...]:
    name = f"{START + number // A_SECOND:08x}{os.urandom(8).hex()}"
    event = UsageFields(
        f"evt_{name}",
        f"req_{name}",
        START + number / A_SECOND,
        "default",
        "key_1m895aqrdczgsrrhq22b34sf",
        "/v1/chat/completions",
        "bench",
        "ok",
        200,
        deployment="bench",
        prompt_tokens=42,
        completion_tokens=64,
        cost_usd=0.000117,
        duration_ms=0.2731,
        life="life_1m895aq87adeky52d5qd11ff",
        organization_id="org_1m895aqr79pd6gpw3a3e9nsd",
    )
    return event[:]


async def _fill(redis: Redis, records: int) -> None:
    append, columns = RowAppender(redis, USAGE), orjson.dumps(UsageFields._fields)
    for start in range(0, records, ENTRY):
        rows = [_row(number) for number in range(start, min(start + ENTRY, records))]
        assert await append(columns, orjson.dumps(rows))


async def _written(redis: Redis) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        groups = await redis.xinfo_groups(USAGE.name)
        if groups and groups[0]["lag"] == 0 and groups[0]["pending"] == 0:
            return


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(platform: PlatformSettings, records: int) -> tuple[float, float]:
    """Return the CPU seconds and the seconds that writing this many records took."""
    await upgrade(platform, "gateway", MIGRATIONS)
    database, redis = open_database(platform, "gateway"), open_redis(platform)
    try:
        await _fill(redis, records)
        consumer = usage_consumer(redis, database, MetricRegistry(), Settings(_env_file=None))
        began, used = time.perf_counter(), _cpu()
        task = asyncio.create_task(consumer.run())
        await _written(redis)
        spent = _cpu() - used, time.perf_counter() - began
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return spent
    finally:
        await redis.aclose()
        await database.close()


def main() -> int:
    """Measure both databases and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.usage_writing", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="at most 700,000, the length of the stream")
    records = min(parser.parse_args().records, 700_000)
    for name, server in (("SQLite", contextlib.nullcontext("")), ("PostgreSQL", postgres_server())):
        with tempfile.TemporaryDirectory() as folder, valkey_server() as redis_url, server as database_url:
            platform = platform_settings(Path(folder), redis_url=redis_url, database_url=database_url)
            cpu, seconds = asyncio.run(measure(platform, records))
        print(f"{name}: {1000 * cpu / records:.3f} CPU s for 1,000 records; {records} in {seconds:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
