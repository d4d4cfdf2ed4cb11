"""What becomes of entries that a handler refuses, or takes long for."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from redis.asyncio import Redis

from sluice.consumer import StreamConsumer
from sluice.contracts.feedback import FeedbackRecorded
from sluice.queues import FEEDBACK, append
from sluice.redis import open_redis
from sluice.testing import platform_settings

pytestmark = pytest.mark.integration


def _event(number: int) -> FeedbackRecorded:
    return FeedbackRecorded(
        event_id=f"e{number}", feedback_id=f"f{number}", interaction_id="i", tenant="t", feedback_type="thumbs", at=1.0
    )


async def _until_none_is_pending(redis: Redis) -> None:
    async with asyncio.timeout(60):
        while True:
            groups = await redis.xinfo_groups(FEEDBACK.name)
            if groups and not groups[0]["pending"] and not groups[0]["lag"]:
                return
            await asyncio.sleep(0.01)


async def test_one_entry_that_is_refused_takes_no_other_with_it(flushed_valkey: str, tmp_path: Path) -> None:
    redis = open_redis(platform_settings(tmp_path, redis_url=flushed_valkey))
    await append(redis, FEEDBACK, [_event(1), _event(2), _event(3)])
    rows = [list(_event(4).model_dump().values())]
    columns = list(FeedbackRecorded.model_fields)
    await redis.xadd(FEEDBACK.name, {b"columns": orjson.dumps(columns), b"rows": orjson.dumps(rows)})
    seen: list[str] = []

    async def handle(events: Sequence[FeedbackRecorded]) -> None:
        if any(event.event_id in {"e2", "e4"} for event in events):
            raise RuntimeError("the table has no room for this one")
        seen.extend(event.event_id for event in events)

    consumer = StreamConsumer(
        redis,
        FEEDBACK,
        FEEDBACK.read,
        "g",
        "c",
        handle,
        block_ms=5,
        claim_after_ms=1,
        max_deliveries=2,
        pause_s=0.01,
    )
    task = asyncio.create_task(consumer.run())
    await _until_none_is_pending(redis)
    task.cancel()
    assert sorted(seen) == ["e1", "e3"]
    dead = [fields for _, fields in await redis.xrange(FEEDBACK.dead_letters)]
    assert [FEEDBACK.read(fields).items[0].event_id for fields in dead] == ["e2", "e4"]  # they can be read again
    await redis.aclose()


async def test_a_batch_in_work_is_nobody_elses(flushed_valkey: str, tmp_path: Path) -> None:
    """A handler may wait for its database longer than entries of a dead consumer lie: they are not buried meanwhile."""
    redis = open_redis(platform_settings(tmp_path, redis_url=flushed_valkey))
    await append(redis, FEEDBACK, [_event(1)])
    back, begun = asyncio.Event(), 0

    async def handle(events: Sequence[FeedbackRecorded]) -> None:
        nonlocal begun
        begun += len(events)
        await back.wait()

    def consumer(name: str) -> StreamConsumer[FeedbackRecorded]:
        return StreamConsumer(
            redis,
            FEEDBACK,
            FEEDBACK.read,
            "g",
            name,
            handle,
            block_ms=5,
            claim_after_ms=1200,
            max_deliveries=2,
            pause_s=0.01,
        )

    tasks = [asyncio.create_task(consumer(name).run()) for name in ("a", "b", "c", "d")]
    await asyncio.sleep(3)
    assert await redis.xlen(FEEDBACK.dead_letters) == 0
    assert begun == 1
    back.set()
    await _until_none_is_pending(redis)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await redis.aclose()
