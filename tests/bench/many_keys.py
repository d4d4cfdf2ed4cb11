"""How long the gateway's control plane takes with many API keys, each with a budget and usage, on SQLite and PostgreSQL.

`python -m tests.bench.many_keys` fails when a list or the budgets take longer than a second. It fills the tables directly, as the
API would have left them: 100 organisations with ten teams each, 100,000 keys, and a sum of usage for each key today.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from sluice.db import Database, open_database
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import platform_settings, postgres_server
from sluice_gateway.budget_store import BudgetStore
from sluice_gateway.domain.ring import MemoryKeyRing
from sluice_gateway.store import KeyStore
from sluice_gateway.tables import ApiKeyRow, OrganizationRow, TeamRow, UsageRollupRow
from sluice_gateway.wiring import MIGRATIONS

NOW = 1_767_268_800.0  # 2026-01-01 12:00 UTC
BAR_S = 1.0
_ROUNDS = 3
_AT_ONCE = 5000
_ORGANIZATIONS = 100
_TEAMS = 10


def _holder(number: int, kind: str, **fields: Any) -> dict[str, Any]:
    usual = {"disabled": False, "tags": [], "metadata": {}, "created_at": int(NOW), "changed_ms": int(NOW * 1000)}
    return {"id": f"{kind}_{number:08d}", "name": f"{kind} {number}", **usual, **fields}


def _organization(number: int) -> dict[str, Any]:
    return _holder(number, "org", tenant=f"tenant-{number}", limits={"budget_per_month_usd": 1e6})


def _team(number: int) -> dict[str, Any]:
    return _holder(number, "team", organization_id=f"org_{number // _TEAMS:08d}", limits={"budget_per_month_usd": 1e5})


def _key(number: int) -> dict[str, Any]:
    team = number % (_ORGANIZATIONS * _TEAMS)
    return _holder(
        number,
        "key",
        digest=number.to_bytes(32, "big"),
        prefix="sk-slc-00000",
        tenant=f"tenant-{team // _TEAMS}",
        organization_id=f"org_{team // _TEAMS:08d}",
        team_id=f"team_{team:08d}",
        role="member",
        limits={"budget_per_day_usd": 10.0},
    )


def _sums(number: int) -> dict[str, Any]:
    key = _key(number)
    named = {name: key[name] for name in ("tenant", "organization_id", "team_id")}
    starts = int(NOW) // 86_400 * 86_400
    counts = ("errors", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
    return {
        "grain": "hour",
        "starts": starts,
        "day": starts // 86_400,
        **named,
        "key_id": key["id"],
        "user_type": "",
        "model": "m",
        "deployment": "m-1",
        "status": "ok",
        "requests": 10,
        **dict.fromkeys(counts, 0),
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "cost_usd": number % 1000 / 100,
    }


async def _fill(database: Database, keys: int) -> None:
    parts: tuple[tuple[Any, Callable[[int], dict[str, Any]], int], ...] = (
        (OrganizationRow, _organization, _ORGANIZATIONS),
        (TeamRow, _team, _ORGANIZATIONS * _TEAMS),
        (ApiKeyRow, _key, keys),
        (UsageRollupRow, _sums, keys),
    )
    for table, made, count in parts:
        for start in range(0, count, _AT_ONCE):
            rows = [made(number) for number in range(start, min(count, start + _AT_ONCE))]
            async with database.write() as session:
                await session.execute(insert(table.__table__), rows)


async def _measured(platform: PlatformSettings, keys: int) -> float:
    await upgrade(platform, "gateway", MIGRATIONS)
    database = open_database(platform, "gateway")
    try:
        await _fill(database, keys)
        store, budgets, ring = KeyStore(database), BudgetStore(database), MemoryKeyRing(b"pepper")

        async def load() -> None:
            ring.replace(await store.all())

        async def page(**fields: Any) -> None:
            asked = {"tenant": None, "organization_id": None, "team_id": None, "after": None, **fields}
            found = await store.page(**asked, limit=100, order="desc")
            assert len(found) == 101, len(found)

        middle = f"key_{keys // 2:08d}"
        slowest = 0.0
        for label, ask, barred in (
            ("keys: first page", page, True),
            ("keys: a page in the middle", lambda: page(after=middle), True),
            ("keys: of one organisation", lambda: page(organization_id="org_00000007"), True),
            ("keys: did any change?", store.mark, True),
            ("budgets: first page", lambda: budgets.most_used(NOW, most=101), True),
            ("budgets: of one organisation", lambda: budgets.most_used(NOW, organization_id="org_00000007"), True),
            ("budgets: as the worker looks for alerts", lambda: budgets.most_used(NOW, min_share=0.8), True),
            ("all keys into a gateway's memory", load, False),
        ):
            took = await _time(ask)
            slowest = max(slowest, took if barred else 0.0)
            print(f"| {label} | {took * 1000:.0f} ms |", flush=True)
        return slowest
    finally:
        await database.close()


async def _time(ask: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


async def _main(keys: int) -> int:
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("SQLite", "PostgreSQL"):
            print(f"\n{name}, {keys:,} keys\n\n| question | time |\n| --- | ---: |")
            if name == "SQLite":
                slowest = await _measured(platform_settings(Path(folder)), keys)
            else:
                with postgres_server(Path(folder) / "pg") as url:
                    platform = platform_settings(Path(folder), database_url=url)
                    slowest = max(slowest, await _measured(platform, keys))
    print(f"\nslowest {slowest:.3f} s, bar {BAR_S} s")
    return 0 if slowest <= BAR_S else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    sys.exit(asyncio.run(_main(parser.parse_args().keys)))
