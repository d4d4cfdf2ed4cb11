"""Records that are older than they are kept go, and no others."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.integration.gateway.control_plane import Gateway, trail

from sluice.contracts.gateway import CreateApiKey, RotateApiKey
from sluice.contracts.usage import UsageRecorded
from sluice.db import Database, open_database
from sluice.errors import DependencyUnavailable
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import FakeClock
from sluice_gateway.audit_store import AuditStore
from sluice_gateway.domain.audit import AuditFilter
from sluice_gateway.domain.leases import CounterName, window_at
from sluice_gateway.domain.usage import UsageFilter
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.retention import Keep, Retention
from sluice_gateway.retention_store import RetentionStore
from sluice_gateway.usage_store import UsageStore

pytestmark = pytest.mark.integration
DAY = 86_400.0
NOW = 1_800_000_000.0


def event(number: int, at: float) -> UsageRecorded:
    return UsageRecorded(
        event_id=f"evt_{number}", request_id=f"req_{number}", at=at, tenant="acme", key_id="key_1",
        endpoint="/v1/chat/completions", model="mock", status="ok", http_status=200,
    )  # fmt: skip


@pytest.fixture
async def database(gateway: Gateway, platform: PlatformSettings) -> AsyncIterator[Database]:
    found = open_database(platform, "gateway")
    yield found
    await found.close()


def retention(database: Database, usage_days: int, audit_days: int) -> tuple[Retention, MetricRegistry]:
    registry = MetricRegistry()
    keep = Keep(usage_days, audit_days)
    return Retention(RetentionStore(database), keep, FakeClock(now=NOW), registry, every_s=0.05, pause_s=0), registry


async def test_old_usage_goes_in_steps_and_young_usage_stays(database: Database) -> None:
    usage = UsageStore(database)
    old = [event(number, NOW - 31 * DAY) for number in range(2500)]
    for start in range(0, len(old), 500):
        await usage.insert(UsageRows.of(old[start : start + 500]))
    await usage.insert(UsageRows.of([event(9001, NOW - 29 * DAY), event(9002, NOW)]))
    sweeper, registry = retention(database, 30, 0)
    await sweeper.delete_old()
    rows = await usage.page(UsageFilter(), limit=100, after=None, order="asc")
    assert [row.request_id for row in rows] == ["req_9001", "req_9002"]
    assert b'sluice_gateway_retention_deleted_total{table="usage"} 2500.0' in registry.render()[0]


async def test_what_budgets_of_the_month_are_counted_from_stays_until_it_ends(database: Database) -> None:
    usage = UsageStore(database)
    spent = [
        event(number, NOW - days * DAY).model_copy(update={"cost_usd": 1.0}) for number, days in enumerate((20, 10, 1))
    ]
    await usage.insert(UsageRows.of(spent))
    sweeper, _ = retention(database, 7, 0)
    await sweeper.delete_old()
    month = CounterName("key", "key_1", "month", window_at("month", NOW).number)
    assert sum((await usage.spent([month]))[month].values()) == 2.0
    assert len(await usage.page(UsageFilter(), limit=100, after=None, order="asc")) == 2


async def test_old_audit_records_and_spent_secrets_go(gateway: Gateway, database: Database) -> None:
    for age in (401, 399):
        await gateway.deps.keys.create(CreateApiKey(name=f"{age} days"), trail(NOW - age * DAY))
    made = await gateway.deps.keys.create(CreateApiKey(name="rotated"), trail(NOW))
    await gateway.deps.keys.rotate(made.key.id, RotateApiKey(grace_s=60), trail(NOW - 61))
    await gateway.deps.keys.rotate(made.key.id, RotateApiKey(grace_s=60), trail(NOW - 59))
    audit = AuditStore(database)
    before = await audit.page(AuditFilter(), limit=100, after=None, order="asc")
    sweeper, _ = retention(database, 0, 400)
    await sweeper.delete_old()
    after = await audit.page(AuditFilter(), limit=100, after=None, order="asc")
    assert {record.id for record in after} == {record.id for record in before if record.at >= NOW - 400 * DAY}
    assert len(before) - len(after) == 2  # the key, and the organisation that came with it
    lineage = await gateway.deps.key_store.lineage(made.key.id)
    assert [secret.valid_until for secret in lineage.key.retired] == [NOW + 1]


async def test_zero_days_keep_for_ever(gateway: Gateway, database: Database) -> None:
    usage = UsageStore(database)
    await usage.insert(UsageRows.of([event(1, 0.0)]))
    await gateway.deps.keys.create(CreateApiKey(name="old"), trail(0.0))
    sweeper, _ = retention(database, 0, 0)
    await sweeper.delete_old()
    assert len(await usage.page(UsageFilter(), limit=100, after=None, order="asc")) == 1
    assert len(await AuditStore(database).page(AuditFilter(), limit=100, after=None, order="asc")) == 2


async def test_the_loop_outlives_a_database_that_is_away() -> None:
    class Away:
        batch = 10
        asked = 0

        async def delete_usage(self, before: float) -> int:
            self.asked += 1
            if self.asked < 3:
                raise DependencyUnavailable("The database of gateway does not answer.")
            return 0

        delete_audit = delete_usage
        delete_retired_secrets = delete_usage
        delete_transcripts = delete_usage

    rows = Away()
    sweeper = Retention(rows, Keep(1, 1), FakeClock(now=NOW), MetricRegistry(), every_s=0.01)
    task = asyncio.create_task(sweeper.run())
    async with asyncio.timeout(60):
        while rows.asked < 6:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
