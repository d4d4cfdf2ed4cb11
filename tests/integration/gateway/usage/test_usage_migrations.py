"""Usage that was recorded before a migration is the same after it, on SQLite and PostgreSQL."""

from typing import Any

import pytest
from sqlalchemy import select, text
from tests.integration.gateway.control_plane import running_gateway

from sluice.db import Database, open_database
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import admin_headers
from sluice_gateway.tables import UsageRollupRow
from sluice_gateway.wiring import MIGRATIONS

pytestmark = pytest.mark.integration
START = 1_767_225_600  # 2026-01-01 00:00 UTC
HOUR, DAY = 3600, 86_400
INSERT = text(
    "INSERT INTO usage (event_id, request_id, at, day, tenant, key_id, endpoint, model, deployment, status, http_status, stream, "
    "prompt_tokens, completion_tokens, tokens_exact, cost_usd, duration_ms, guard_issues, citations, organization_id, team_id, "
    "cached_tokens, cache_write_tokens, reasoning_tokens) VALUES (:event_id, 'req', :at, :day, :tenant, :key_id, '/v1', :model, "
    ":deployment, :status, 200, :stream, :prompt, :completion, :stream, :cost, 1, '[]', 0, :organization, :team, 1, 2, 3)"
)
# The moments where an hour and a day begin and end; two in the same hour; one of each text that may be missing.
ROWS: tuple[dict[str, Any], ...] = (
    {"at": START - 0.001, "prompt": 1, "completion": 2, "cost": 0.5},
    {"at": float(START), "prompt": 4, "completion": 8, "cost": 1.0},
    {"at": START + HOUR - 0.001, "prompt": 16, "completion": 32, "cost": 2.0, "status": "error"},
    {"at": float(START + HOUR), "prompt": 64, "completion": 128, "cost": 4.0},
    {"at": START + HOUR + 1.5, "prompt": 256, "completion": 512, "cost": 8.0},
    {"at": START + DAY + 0.25, "prompt": 1024, "completion": 2048, "cost": 16.0, "team": "team_1"},
    {"at": START + DAY + 0.75, "prompt": 4096, "completion": 8192, "cost": 32.0, "deployment": "d-1"},
)


def filled(number: int, row: dict[str, Any]) -> dict[str, Any]:
    usual = {"tenant": "acme", "key_id": "key_1", "model": "small", "status": "ok", "organization": "org_1"}
    missing = {"deployment": None, "team": None, "stream": True}
    return {"event_id": f"evt_{number}", "day": int(row["at"] // DAY), **usual, **missing, **row}


async def before(platform: PlatformSettings, revision: str) -> None:
    await upgrade(platform, "gateway", MIGRATIONS, revision)
    database = open_database(platform, "gateway")
    async with database.write() as session:
        await session.execute(INSERT, [filled(number, row) for number, row in enumerate(ROWS)])
    await database.close()


async def sums(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    table = UsageRollupRow.__table__
    columns = (
        "grain",
        "starts",
        "team_id",
        "deployment",
        "status",
        "day",
        "requests",
        "errors",
        "prompt_tokens",
        "cost_usd",
    )
    async with database.read() as session:
        found = (
            await session.execute(
                select(*(table.c[name] for name in columns)).order_by("starts", "team_id", "deployment", "status")
            )
        ).mappings()
        rows = [tuple(row[name] for name in columns) for row in found]
    return {grain: [row[1:] for row in rows if row[0] == grain] for grain in ("hour", "day")}


async def test_what_was_recorded_before_there_were_sums_is_summed(platform: PlatformSettings) -> None:
    await before(platform, "0005")
    await upgrade(platform, "gateway", MIGRATIONS, "0006")
    database = open_database(platform, "gateway")
    day = START // DAY
    try:
        backfilled = await sums(database)
    finally:
        await database.close()
    assert backfilled["hour"] == [
        (START - HOUR, "", "", "ok", day - 1, 1, 0, 1, 0.5),
        (START, "", "", "error", day, 1, 1, 16, 2.0),
        (START, "", "", "ok", day, 1, 0, 4, 1.0),
        (START + HOUR, "", "", "ok", day, 2, 0, 320, 12.0),
        (START + DAY, "", "d-1", "ok", day + 1, 1, 0, 4096, 32.0),
        (START + DAY, "team_1", "", "ok", day + 1, 1, 0, 1024, 16.0),
    ]
    assert backfilled["day"] == [
        (START - DAY, "", "", "ok", day - 1, 1, 0, 1, 0.5),
        (START, "", "", "error", day, 1, 1, 16, 2.0),
        (START, "", "", "ok", day, 3, 0, 324, 13.0),
        (START + DAY, "", "d-1", "ok", day + 1, 1, 0, 4096, 32.0),
        (START + DAY, "team_1", "", "ok", day + 1, 1, 0, 1024, 16.0),
    ]


async def test_rows_go_through_all_migrations_and_a_rebuild_finds_the_same_sums(platform: PlatformSettings) -> None:
    await before(platform, "0005")
    async with running_gateway(platform) as gateway:
        database = open_database(platform, "gateway")
        try:
            migrated = await sums(database)
            answer = await gateway.client.post("/admin/usage/rebuild", headers=admin_headers())
            assert answer.json()["sums"] == sum(map(len, migrated.values()))
            assert await sums(database) == migrated
        finally:
            await database.close()
        page = await gateway.client.get("/admin/usage", headers=admin_headers())
        found = {row["event_id"]: (row["cost_usd"], row["price_source"]) for row in page.json()["data"]}
        assert found == {f"evt_{number}": (row["cost"], None) for number, row in enumerate(ROWS)}
