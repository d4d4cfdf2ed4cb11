"""The outbox publisher and the patient handler, with a Redis and a database that do what the test says."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sluice.contracts.feedback import FeedbackRecorded
from sluice.errors import DependencyUnavailable
from sluice.telemetry.metrics import MetricRegistry
from sluice_feedback.adapters.outbox import OutboxPublisher
from sluice_feedback.adapters.patience import patient
from sluice_feedback.domain.events import WaitingEvent
from sluice_feedback.metrics import FeedbackMetrics


def event(number: int) -> FeedbackRecorded:
    return FeedbackRecorded(
        event_id=f"event_{number}",
        feedback_id=f"feedback_{number}",
        interaction_id="req_1",
        tenant="acme",
        feedback_type="thumbs",
        at=float(number),
    )


class MemoryOutbox:
    def __init__(self, count: int) -> None:
        self.events = [WaitingEvent(number, event(number)) for number in range(count)]

    async def waiting(self, limit: int) -> list[WaitingEvent]:
        return self.events[:limit]

    async def count(self) -> int:
        return len(self.events)

    async def published(self, events: Sequence[WaitingEvent]) -> None:
        gone = {found.seq for found in events}
        self.events = [waiting for waiting in self.events if waiting.seq not in gone]


class FlakyRedis:
    """Fails the first `failures` transactions."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.stream: list[str] = []

    @asynccontextmanager
    async def pipeline(self, *, transaction: bool) -> Any:
        assert transaction
        yield self

    def xadd(self, name: str, fields: dict[bytes, str], **_: object) -> None:
        self._queued = [*getattr(self, "_queued", []), FeedbackRecorded.model_validate_json(fields[b"d"]).event_id]

    async def execute(self) -> None:
        queued, self._queued = self._queued, []
        if self.failures:
            self.failures -= 1
            raise RedisConnectionError("away")
        self.stream += queued


def publisher(outbox: MemoryOutbox, redis: FlakyRedis, batch: int = 2) -> OutboxPublisher:
    return OutboxPublisher(outbox, redis, FeedbackMetrics(MetricRegistry()), poll_s=60, batch=batch)  # type: ignore[arg-type]


async def test_all_waiting_events_are_published_in_order() -> None:
    outbox, redis = MemoryOutbox(5), FlakyRedis(0)
    await publisher(outbox, redis).drain()
    assert redis.stream == [f"event_{number}" for number in range(5)]
    assert outbox.events == []


async def test_events_stay_while_redis_is_away() -> None:
    outbox = MemoryOutbox(3)
    with pytest.raises(RedisConnectionError):
        await publisher(outbox, FlakyRedis(1)).drain()
    assert await outbox.count() == 3


async def test_the_loop_survives_an_outage_and_a_nudge_wakes_it() -> None:
    outbox, redis = MemoryOutbox(1), FlakyRedis(1)
    tested = publisher(outbox, redis)
    task = asyncio.create_task(tested.run())
    async with asyncio.timeout(60):
        while len(redis.stream) < 1:
            await asyncio.sleep(0.01)
        outbox.events.append(WaitingEvent(7, event(7)))
        tested.nudge()
        while len(redis.stream) < 2:
            await asyncio.sleep(0.01)
    task.cancel()
    assert redis.stream == ["event_0", "event_7"]
    assert tested.metrics.publish_failures._value.get() == 1


async def test_a_patient_handler_repeats_a_batch_until_the_database_is_back() -> None:
    tries = 0

    async def handle(_: Sequence[FeedbackRecorded]) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise DependencyUnavailable("away")

    await patient(handle, first_pause_s=0.001)([event(1)])
    assert tries == 3


async def test_a_patient_handler_passes_other_errors_on() -> None:
    async def handle(_: Sequence[FeedbackRecorded]) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await patient(handle)([event(1)])
