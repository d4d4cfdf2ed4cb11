"""How long the usage API's sums over a year of traffic take: 100 keys, 10 models, 365 days, each with one of 20 tags, on SQLite and PostgreSQL.

`python -m tests.bench.usage_year` fails when one takes longer than a second. The sums are written as the consumer would have left
them, without the records behind them: a sum reads records for two hours at most.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert

from sluice.contracts.usage import UsageGroup
from sluice.db import Database, open_database
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import platform_settings, postgres_server
from sluice_gateway.domain.rollups import SECONDS
from sluice_gateway.domain.usage import UsageFilter
from sluice_gateway.tables import UsageRollupRow, UsageTagRollupRow
from sluice_gateway.usage_store import UsageStore
from sluice_gateway.wiring import MIGRATIONS

START = 1_735_689_600  # 2025-01-01 00:00 UTC
DAY = SECONDS["day"]
BAR_S = 1.0
_ROUNDS = 5
_TAGS = 20
_GROUPS: tuple[UsageGroup, ...] = ("model", "key", "day", "team", "tag")


def _rows(day: int, keys: int, models: int) -> list[dict[str, object]]:
    starts = START + day * DAY
    return [
        {
            "grain": grain,
            "starts": starts + (0 if grain == "day" else 43_200),
            "tenant": f"tenant-{key % 10}",
            "organization_id": f"org_{key % 10}",
            "team_id": f"team_{key % 20}",
            "key_id": f"key_{key}",
            "user_type": "",
            "model": f"model-{model}",
            "deployment": f"model-{model}-1",
            "status": "ok",
            "day": starts // DAY,
            "requests": 50,
            "errors": 0,
            "prompt_tokens": 40_000,
            "completion_tokens": 9_000,
            "cached_tokens": 100,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
            "cost_usd": 0.125,
        }
        for grain in SECONDS
        for key in range(keys)
        for model in range(models)
    ]


async def _measured(platform: PlatformSettings, keys: int, models: int, days: int) -> float:
    await upgrade(platform, "gateway", MIGRATIONS)
    database: Database = open_database(platform, "gateway")
    try:
        for day in range(days):
            async with database.write() as session:
                rows = _rows(day, keys, models)
                await session.execute(insert(UsageRollupRow), rows)
                tagged = [{**row, "tag": f"tag-{place // models % _TAGS}"} for place, row in enumerate(rows)]
                await session.execute(insert(UsageTagRollupRow), tagged)
        return await _slowest(UsageStore(database), days)
    finally:
        await database.close()


async def _slowest(store: UsageStore, days: int) -> float:
    slowest = 0.0
    whole = UsageFilter()
    odd = UsageFilter(since=START + 1234.5, until=START + days * DAY - 1234.5)
    for label, wanted in (
        ("all", whole),
        ("from and to in mid-hour", odd),
        ("one tenant", UsageFilter(tenant="tenant-3")),
        ("one tag", UsageFilter(tag="tag-3")),
    ):
        for group in _GROUPS:
            times = []
            for _ in range(_ROUNDS):
                began = time.perf_counter()
                await store.summary(wanted, group)
                times.append(time.perf_counter() - began)
            middle = statistics.median(times)
            slowest = max(slowest, middle)
            print(f"| {label} | {group} | {middle * 1000:.0f} ms |")
    return slowest


async def _main(keys: int, models: int, days: int) -> int:
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        print(
            f"SQLite, {keys * models * days:,} sums of a day\n\n| period | group by | totals and groups |\n| --- | --- | ---: |"
        )
        slowest = await _measured(platform_settings(Path(folder)), keys, models, days)
        with postgres_server(Path(folder) / "pg") as url:
            print("\nPostgreSQL\n\n| period | group by | totals and groups |\n| --- | --- | ---: |")
            platform = platform_settings(Path(folder), database_url=url)
            slowest = max(slowest, await _measured(platform, keys, models, days))
    print(f"\nslowest {slowest:.3f} s, bar {BAR_S} s")
    return 0 if slowest <= BAR_S else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--days", type=int, default=365)
    given = parser.parse_args()
    sys.exit(asyncio.run(_main(given.keys, given.models, given.days)))
