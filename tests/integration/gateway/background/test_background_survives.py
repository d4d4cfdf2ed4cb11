"""Workers, gateways and Redis that are killed while responses are in the background: none is lost, and none is recorded twice."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from openai_provider import Behaviour
from tests.integration.gateway.background.polling import ended, questions, usage
from tests.integration.gateway.batches.batch_platform import batch_platform

from sluice.testing import valkey_process

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

COUNT = 24
LANES = 8
MANY = {"SLUICE_GATEWAY_BACKGROUND_LANES": "16"}  # half of them for one tenant


async def test_workers_killed_at_any_moment(tmp_path: Path, valkey: str, database_url: str) -> None:
    pauses = random.Random(7)
    async with batch_platform(tmp_path, valkey, database_url, Behaviour(text="Yes.", stall_s=0.3), **MANY) as run:
        client = run.client()
        talk = await client.conversations.create()
        worker = run.worker()
        begun = [
            await client.responses.create(model="mock", input=f"q{n}", background=True, conversation=talk.id)
            for n in range(COUNT)
        ]
        for _ in range(2):
            await asyncio.sleep(pauses.uniform(0.1, 0.6))
            worker.kill()
            worker = run.worker()
        for one in begun:
            done = await ended(client, one.id, seconds=90)
            assert (done.status, done.output_text) == ("completed", "Yes.")
        items: list[Any] = [item async for item in client.conversations.items.list(talk.id, order="asc", limit=100)]
        said = [item.content[0].text for item in items]
        assert said == [text for n in range(COUNT) for text in (f"q{n}", "Yes.")], (
            "each once, in the order of their beginning"
        )
        asked = questions(run)
        assert set(asked) == {f"q{n}" for n in range(COUNT)}
        assert len(asked) - COUNT <= 2 * LANES, "only what was under way is asked again"
        assert len(await usage(run, len(asked))) == len(asked), "what the provider was asked is counted, once"
        await asyncio.sleep(1)
        assert len(await usage(run, len(asked))) == len(asked)


async def test_a_gateway_killed_while_they_are_asked(tmp_path: Path, valkey: str) -> None:
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(text="Yes.", stall_s=0.3), **MANY) as run:
        client = run.client()
        run.worker()
        begun = [await client.responses.create(model="mock", input=f"q{n}", background=True) for n in range(COUNT)]
        waiting = await client.responses.create(model="mock", input="last", background=True, stream=True)
        first = await anext(waiting)
        while len(run.provider.seen) < 10:
            await asyncio.sleep(0.02)
        run.gateway.kill()
        await asyncio.sleep(1)
        run.gateway.start()
        await asyncio.to_thread(run.gateway.wait_ready, f"{run.url}/readyz")
        for one in begun:
            assert (await ended(client, one.id, seconds=120)).status == "completed"
        last: str = first.response.id  # type: ignore[union-attr]  # as its type says
        events = [event async for event in await client.responses.retrieve(last, stream=True, starting_after=0)]
        assert ([event.sequence_number for event in events], events[-1].type) == (
            list(range(1, len(events) + 1)),
            "response.completed",
        )


async def test_redis_is_not_needed_to_begin_and_poll(tmp_path: Path) -> None:
    with valkey_process(tmp_path / "valkey") as server:
        async with batch_platform(tmp_path, server.url) as run:
            client = run.client()
            run.worker()
            server.kill()
            begun = await client.responses.create(model="mock", input="?", background=True)
            assert (await ended(client, begun.id)).status == "completed"
            server.start()
            assert len(await usage(run, 1)) == 1


async def test_a_worker_that_is_asked_to_stop_gives_back_what_it_has(tmp_path: Path, valkey: str) -> None:
    gate = asyncio.Event()
    lease = {"SLUICE_GATEWAY_BATCH_LEASE_S": "120"}
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(gate=gate), **lease) as run:
        client = run.client()
        first = run.worker()
        begun = await client.responses.create(model="mock", input="?", background=True)
        while not run.provider.seen:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(first.stop)
        gate.set()
        run.worker()
        assert (await ended(client, begun.id, seconds=60)).status == "completed"  # far less than the lease
