"""Workers and gateways that are killed in mid-batch: no line is lost, and none stands twice in the output."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from openai_provider import Behaviour
from tests.integration.gateway.batches.batch_platform import batch_platform, chat_line, jsonl, lines_of, submit
from tests.integration.gateway.batches.conftest import Wait

from sluice.testing import valkey_process

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

LANES = 8


def counted(found: object, at_least: int) -> bool:
    counts = getattr(found, "request_counts", None)
    return counts is not None and counts.completed >= at_least


async def settled(asked: Callable[[], Counter[str]]) -> Counter[str]:
    """Return what the provider was asked once nothing comes any more of what a killed worker had sent."""
    found, before = asked(), None
    while found != before:
        await asyncio.sleep(1)
        before, found = found, asked()
    return found


async def test_a_worker_killed_in_mid_batch(tmp_path: Path, valkey: str, database_url: str, wait_for: Wait) -> None:
    slow = Behaviour(stall_s=0.05)
    async with batch_platform(tmp_path, valkey, database_url, slow) as run:
        client = run.client()
        first = run.worker()
        batch = await submit(client, jsonl(*(chat_line(n) for n in range(150))))
        await wait_for(client, batch, lambda found: counted(found, 40))
        first.kill()
        kept = await client.batches.retrieve(batch.id)
        assert kept.request_counts is not None
        assert kept.status == "in_progress"
        asked_before = await settled(run.asked)
        assert sum(asked_before.values()) < 150
        run.worker()
        ended = await wait_for(client, batch)
        assert ended.status == "completed"
        assert ended.request_counts is not None
        assert ended.request_counts.completed == 150
        output = await lines_of(client, ended.output_file_id)
        assert [line["custom_id"] for line in output] == [f"c{n}" for n in range(150)]
        asked = run.asked()
        assert set(asked) == {f"q{n}" for n in range(150)}
        # Only what was under way when the worker died is asked again: never what had its answer in the database.
        assert sum(asked.values()) - 150 <= LANES
        assert sum(asked.values()) - 150 <= sum(asked_before.values()) - kept.request_counts.completed


async def test_two_workers_do_not_share_a_batch_and_one_takes_over(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(stall_s=0.05)) as run:
        client = run.client()
        workers = [run.worker(), run.worker()]
        batches = [await submit(client, jsonl(*(chat_line(n) for n in range(b, b + 60)))) for b in (0, 1000)]
        for batch in batches:
            await wait_for(client, batch, lambda found: counted(found, 10))
        workers[0].kill()
        for batch, start in zip(batches, (0, 1000), strict=True):
            ended = await wait_for(client, batch)
            output = await lines_of(client, ended.output_file_id)
            assert [line["custom_id"] for line in output] == [f"c{n}" for n in range(start, start + 60)]
        assert sum(run.asked().values()) <= 120 + 2 * LANES


async def test_a_worker_that_is_asked_to_stop_gives_its_batch_back_at_once(
    tmp_path: Path, valkey: str, wait_for: Wait
) -> None:
    lease = {"SLUICE_GATEWAY_BATCH_LEASE_S": "120"}
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(stall_s=0.1), **lease) as run:
        client = run.client()
        first = run.worker()
        batch = await submit(client, jsonl(*(chat_line(n) for n in range(100))))
        await wait_for(client, batch, lambda found: counted(found, 20))
        await asyncio.to_thread(first.stop)
        assert first.wait() == 0, "it did not have to be killed"
        run.worker()
        ended = await wait_for(client, batch, seconds=60)  # far less than the lease, which nobody has to wait for
        assert (ended.status, len(await lines_of(client, ended.output_file_id))) == ("completed", 100)
        assert run.asked() == {f"q{n}": 1 for n in range(100)}


async def test_a_gateway_killed_in_mid_batch(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(stall_s=0.05)) as run:
        client = run.client()
        run.worker()
        batch = await submit(client, jsonl(*(chat_line(n) for n in range(100))))
        await wait_for(client, batch, lambda found: counted(found, 20))
        run.gateway.kill()
        await asyncio.sleep(1)
        run.gateway.start()
        await asyncio.to_thread(run.gateway.wait_ready, f"{run.url}/readyz")
        ended = await wait_for(client, batch, seconds=90)
        assert (ended.status, ended.error_file_id) == ("completed", None)
        output = await lines_of(client, ended.output_file_id)
        assert [line["custom_id"] for line in output] == [f"c{n}" for n in range(100)]


async def test_a_batch_made_while_redis_is_away_is_done_when_it_is_back(tmp_path: Path, wait_for: Wait) -> None:
    with valkey_process(tmp_path / "valkey") as server:
        async with batch_platform(tmp_path, server.url) as run:
            client = run.client()
            run.worker()
            server.kill()
            batch = await submit(client, jsonl(*(chat_line(n) for n in range(5))))
            assert batch.status == "validating"
            await asyncio.sleep(1)
            server.start()
            ended = await wait_for(client, batch, seconds=90)
            assert (ended.status, len(await lines_of(client, ended.output_file_id))) == ("completed", 5)
