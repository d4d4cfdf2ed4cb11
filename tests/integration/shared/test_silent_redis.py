"""A Redis that takes what is sent and never answers: a hung host, or a link that died without a word. Nothing waits for it for ever."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError
from tests.integration.shared.silent_link import link_to

from sluice.consumer import StreamConsumer
from sluice.contracts.feedback import FeedbackRecorded
from sluice.errors import DependencyUnavailable
from sluice.health import failing
from sluice.queues import FEEDBACK, KEYS_CHANGED, RUN_EVAL, KeysChanged, RunEval, append, publish, subscribe
from sluice.redis import open_redis, redis_probe
from sluice.tasks import TaskSender, make_celery
from sluice.testing import platform_settings

pytestmark = pytest.mark.integration


def _event(number: int) -> FeedbackRecorded:
    return FeedbackRecorded(
        event_id=f"e{number}", feedback_id=f"f{number}", interaction_id="i", tenant="t", feedback_type="thumbs", at=1.0
    )


async def test_a_consumer_and_a_subscription_outlive_a_link_that_died_without_a_word(
    flushed_valkey: str, tmp_path: Path
) -> None:
    async with link_to(flushed_valkey) as link:
        direct = open_redis(platform_settings(tmp_path, redis_url=flushed_valkey))
        through = f"redis://127.0.0.1:{link.port}/0"
        redis = open_redis(platform_settings(tmp_path, redis_url=through), answer_s=0.2)
        seen: asyncio.Queue[str] = asyncio.Queue()
        heard: asyncio.Queue[str | None] = asyncio.Queue()
        connected = asyncio.Semaphore(0)

        async def handle(events: Sequence[FeedbackRecorded]) -> None:
            for event in events:
                seen.put_nowait(event.event_id)

        async def note() -> None:
            connected.release()

        async def listen() -> None:
            async for message in subscribe(redis, KEYS_CHANGED, on_connect=note, quiet_s=0.1):
                heard.put_nowait(message.key_id)

        consumer = StreamConsumer(redis, FEEDBACK, FEEDBACK.read, "g", "c", handle, block_ms=50)
        tasks = [asyncio.create_task(consumer.run()), asyncio.create_task(listen())]
        async with asyncio.timeout(60):
            await connected.acquire()
            await append(direct, FEEDBACK, [_event(1)])
            await publish(direct, KEYS_CHANGED, KeysChanged(key_id="one"))
            assert (await seen.get(), await heard.get()) == ("e1", "one")
            link.fall_silent()
            await append(direct, FEEDBACK, [_event(2)])
            while await seen.get() != "e2":
                pass  # on a busy machine the first comes again: its acknowledgement was not answered in time
            await connected.acquire()  # what was published in between is read anew
            while heard.empty():
                await publish(direct, KEYS_CHANGED, KeysChanged(key_id="two"))
                await asyncio.sleep(0.05)
            assert await heard.get() == "two"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await redis.aclose()
        await direct.aclose()


async def test_nobody_waits_for_a_server_that_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the kernel accepts, and nobody reads
        platform = platform_settings(tmp_path, redis_url=f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        redis = open_redis(platform, retries=0, answer_s=0.1)
        async with asyncio.timeout(60):
            with pytest.raises(RedisTimeoutError):
                await redis.set("a", "b")
            with pytest.raises(RedisTimeoutError):
                await redis.set("a", b"x" * 20_000_000)  # more than the kernel takes: it hangs while it is written
            with pytest.raises(DependencyUnavailable, match="new runs wait"):
                await redis_probe(redis, "new runs")()
            patient = open_redis(platform)
            with pytest.raises(TimeoutError):
                await publish(patient, KEYS_CHANGED, KeysChanged(), within_s=0.1)
            with pytest.raises(DependencyUnavailable, match="will be sent later"):
                await TaskSender(make_celery("eval", platform), within_s=0.1).send(
                    RUN_EVAL, RunEval(tenant="t", run_id="r")
                )
        await patient.aclose()
        await redis.aclose()


async def test_a_dependency_that_never_answers_is_told_as_not_ready() -> None:
    async with asyncio.timeout(60):
        wrong = await failing({"sql": asyncio.Event().wait, "redis": lambda: asyncio.sleep(0)}, within_s=0.05)  # type: ignore[dict-item] # Event.wait returns True
    assert wrong == {"sql": "It does not answer within 0.05 s."}
