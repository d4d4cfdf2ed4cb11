from collections.abc import Sequence

import pytest

from sluice.contracts.usage import UsageRecorded
from sluice.errors import DependencyUnavailable
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.domain.usage import Inserted, RowsRefused, day_name, day_of
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.usage.consumer import UsageWriter
from sluice_gateway.usage.metrics import ConsumerMetrics


def event(number: int = 1, **fields: object) -> UsageRecorded:
    values = {
        "event_id": f"evt_{number}",
        "request_id": f"req_{number}",
        "at": 1_700_000_000.0 + number,
        "tenant": "acme",
        "key_id": "key_1",
        "endpoint": "/v1/chat/completions",
        "model": "mock",
        "status": "ok",
        "http_status": 200,
        **fields,
    }
    return UsageRecorded.model_validate(values)


def test_days_are_counted_in_utc() -> None:
    assert day_name(day_of(0)) == "1970-01-01"
    assert day_name(day_of(1_700_006_399.9)) == "2023-11-14"
    assert day_name(day_of(1_700_006_400)) == "2023-11-15"


def test_texts_are_cut_to_their_column_and_lose_nul() -> None:
    long, same = UsageRows.of([event(1, model="m\x00" + "x" * 500, error_code="e" * 101), event(2)]).events()
    assert long.model == "m" + "x" * 199
    assert long.error_code == "e" * 100
    assert same == event(2)


class Table:
    """A usage table that can be away and refuses events of tenant `bad`."""

    def __init__(self, away: int = 0) -> None:
        self.rows: dict[str, UsageRecorded] = {}
        self.away = away

    async def insert(self, *parts: UsageRows) -> int:
        rows = UsageRows.together(parts)
        if self.away:
            self.away -= 1
            raise DependencyUnavailable("The database of gateway does not answer.")
        if "bad" in rows.columns["tenant"]:
            raise RowsRefused
        before = len(self.rows)
        self.rows |= {item.event_id: item for item in rows.events()}
        return len(self.rows) - before

    async def insert_each(self, *parts: UsageRows) -> Inserted:
        added, refused = 0, []
        for item in UsageRows.together(parts).events():
            try:
                added += await self.insert(UsageRows.of([item]))
            except RowsRefused:
                refused.append(item)
        return Inserted(added, tuple(refused))


@pytest.fixture
def metrics() -> ConsumerMetrics:
    return ConsumerMetrics(MetricRegistry())


async def test_a_batch_waits_for_a_database_that_is_away(metrics: ConsumerMetrics) -> None:
    table, buried = Table(away=3), list[UsageRecorded]()

    async def bury(events: Sequence[UsageRecorded]) -> None:
        buried.extend(events)

    await UsageWriter(table, metrics, bury, first_pause_s=0.001).handle(
        [UsageRows.of([event(1)]), UsageRows.of([event(2)])]
    )
    assert set(table.rows) == {"evt_1", "evt_2"}
    assert not buried
    assert metrics.database_waits._value.get() == 3
    assert metrics.stored._value.get() == 2


async def test_only_the_refused_event_is_buried_and_repeats_are_counted(metrics: ConsumerMetrics) -> None:
    table, buried = Table(), list[UsageRecorded]()

    async def bury(events: Sequence[UsageRecorded]) -> None:
        buried.extend(events)

    writer = UsageWriter(table, metrics, bury)
    await writer.handle([UsageRows.of([event(1)])])
    await writer.handle([UsageRows.of([event(1), event(2, tenant="bad"), event(3)])])
    assert set(table.rows) == {"evt_1", "evt_3"}
    assert [item.event_id for item in buried] == ["evt_2"]
    assert (metrics.stored._value.get(), metrics.repeated._value.get(), metrics.dead._value.get()) == (2, 1, 1)
