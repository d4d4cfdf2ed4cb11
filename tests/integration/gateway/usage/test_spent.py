"""What was spent of budgets, read from the records for many budgets at once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.gateway.admin.asking import Admin
from tests.integration.gateway.control_plane import Gateway

from sluice.contracts.usage import UsageRecorded
from sluice.db import Database, open_database
from sluice.settings import PlatformSettings
from sluice_gateway.domain.leases import CounterName, Kind, window_at
from sluice_gateway.domain.limits import Level
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.usage_store import UsageStore

pytestmark = pytest.mark.integration
DAY = 86_400
NOW = 1_767_873_600.0  # 2026-01-08 12:00 UTC


@pytest.fixture
async def database(gateway: Gateway, platform: PlatformSettings) -> AsyncIterator[Database]:
    opened = open_database(platform, "gateway")
    yield opened
    await opened.close()


def recorded(number: int, key: dict[str, Any], dollars: float, at: float, life: str) -> UsageRecorded:
    return UsageRecorded(
        event_id=f"evt_{number}", request_id=f"req_{number}", at=at, tenant=key["tenant"], key_id=key["id"], endpoint="/v1/chat/completions",
        model="mock", status="ok", http_status=200, stream=False, prompt_tokens=1, completion_tokens=1, tokens_exact=True, cost_usd=dollars,
        duration_ms=1.0, organization_id=key["organization_id"], life=life,
    )  # fmt: skip


async def test_budgets_of_all_levels_and_windows_are_read_together(gateway: Gateway, database: Database) -> None:
    admin = Admin(gateway.client)
    acme, other = await admin.organization("acme"), await admin.organization("other")
    team = await admin.team(acme, "search")
    keys = [
        await admin.ask("POST", "/admin/keys", 201, {"name": "k", **where})
        for where in ({"team_id": team["id"]}, {"organization_id": acme["id"]}, {"organization_id": other["id"]})
    ]
    usage = UsageStore(database)
    days = ((0.0, "life_1"), (2 * DAY, "life_1"), (2 * DAY, "life_2"), (20 * DAY, "life_1"))
    events = [
        recorded(10 * place + number, key, float(place + 1), NOW - before, life)
        for place, key in enumerate(keys)
        for number, (before, life) in enumerate(days)
    ]
    await usage.insert(UsageRows.of(events))

    def budget(level: Level, holder: dict[str, Any], kind: Kind = "month") -> CounterName:
        return CounterName(level, holder["id"], kind, window_at(kind, NOW).number)

    expected = {
        budget("key", keys[0]): {"life_1": 2.0, "life_2": 1.0},
        budget("key", keys[1], "day"): {"life_1": 2.0},
        budget("key", keys[2]): {"life_1": 6.0, "life_2": 3.0},
        budget("team", team): {"life_1": 2.0, "life_2": 1.0},
        budget("organization", acme): {"life_1": 6.0, "life_2": 3.0},
        budget("organization", other, "day"): {"life_1": 3.0},
    }
    unused = budget("key", {"id": "key_unused"})
    assert await usage.spent([*expected, unused]) == expected
    assert await usage.spent([budget("organization", acme)], "life_2") == {
        budget("organization", acme): {"life_2": 3.0}
    }
