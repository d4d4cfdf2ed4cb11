"""Batches give way: bounded, slower when refused, and waiting while a model is busy with people's requests."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from openai.types import Batch
from openai_provider import Behaviour
from tests.integration.gateway.batches.batch_platform import (
    CHAT,
    batch_platform,
    chat_line,
    jsonl,
    lines_of,
    submit,
    upload,
)
from tests.integration.gateway.batches.conftest import Wait

from sluice.testing import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


async def test_refusals_for_want_of_room_cost_time_and_no_line(
    tmp_path: Path, valkey: str, database_url: str, wait_for: Wait
) -> None:
    full = Behaviour(status=429, retry_after="1", body=b'{"error": {"message": "full", "code": "rate_limit_exceeded"}}')
    async with batch_platform(tmp_path, valkey, database_url, Behaviour(stall_s=0.02)) as run:
        client = run.client()
        run.worker()
        run.provider.next(*[full] * 6)
        ended = await wait_for(client, await submit(client, jsonl(*(chat_line(n) for n in range(30)))))
        assert (ended.status, ended.error_file_id) == ("completed", None)
        assert len(await lines_of(client, ended.output_file_id)) == 30
        assert set(run.asked()) == {f"q{n}" for n in range(30)}


async def test_a_model_that_breaks_is_asked_again_and_then_given_up(
    tmp_path: Path, valkey: str, wait_for: Wait
) -> None:
    tries = {"SLUICE_GATEWAY_BATCH_MAX_TRIES": "2"}
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(status=500, body=b"{}"), **tries) as run:
        client = run.client()
        run.worker()
        ended = await wait_for(client, await submit(client, jsonl(chat_line(1), chat_line(2))))
        assert (ended.status, ended.output_file_id) == ("completed", None)
        errors = await lines_of(client, ended.error_file_id)
        assert {line["response"]["status_code"] for line in errors} == {502}
        assert {line["response"]["body"]["error"]["code"] for line in errors} == {"upstream_failed"}


async def test_no_more_requests_are_under_way_than_allowed(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    bounds = {"SLUICE_GATEWAY_BATCH_LANES": "4", "SLUICE_GATEWAY_BATCH_LANES_IN_ALL": "6"}
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(stall_s=0.2), **bounds) as run:
        client = run.client()
        worker = run.worker()
        batches = [await submit(client, jsonl(*(chat_line(n) for n in range(b, b + 40)))) for b in (0, 100, 200)]
        most = 0
        while (await client.batches.retrieve(batches[-1].id)).status != "completed":
            page = (await asyncio.to_thread(httpx.get, f"{run.url}/metrics")).text
            line = next(line for line in page.splitlines() if line.startswith("sluice_gateway_in_flight_requests "))
            most = max(most, int(float(line.rpartition(" ")[2])))
            assert most <= 6
            await asyncio.sleep(0.05)
        for batch in batches:
            assert (await wait_for(client, batch)).status == "completed"
        assert most >= 4
        assert worker.alive()


@asynccontextmanager
async def busy_router(load: list[float]) -> AsyncIterator[str]:
    """A router that tells the load of the model `mock` as it stands in the list."""

    async def deployments(_: web.Request) -> web.Response:
        deployment = {"id": "mock-1", "base_url": "http://127.0.0.1:9/v1", "upstream_model": "mock"}
        body = {"object": "list", "data": [{"model": "mock", "deployment": deployment, "load": load[0]}]}
        return web.json_response(body)

    async def routes(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    app = web.Application()
    app.router.add_get("/v1/deployments", deployments)
    app.router.add_get("/v1/routes", routes)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_a_batch_waits_while_the_model_is_busy(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    load = [0.95]
    async with busy_router(load) as router, batch_platform(tmp_path, valkey) as run:
        client = run.client()
        run.worker(SLUICE_ROUTER_URL=router)
        batch = await submit(client, jsonl(*(chat_line(n) for n in range(10))))
        await wait_for(client, batch, lambda found: found.status == "in_progress")
        await asyncio.sleep(3)
        assert run.provider.seen == []
        people = await client.chat.completions.create(model="mock", messages=[{"role": "user", "content": "me first"}])
        assert people.choices[0].message.content
        load[0] = 0.1
        ended = await wait_for(client, batch)
        assert (ended.status, len(await lines_of(client, ended.output_file_id))) == ("completed", 10)


async def test_batches_take_turns_when_more_wait_than_a_worker_has_hands(
    tmp_path: Path, valkey: str, wait_for: Wait
) -> None:
    # With a lease that a busy machine keeps: the open lines of a lost one are asked again.
    hands = {"SLUICE_GATEWAY_WORKER_CONCURRENCY": "1", "SLUICE_GATEWAY_BATCH_TURN_S": "0.5"}
    lease = {"SLUICE_GATEWAY_BATCH_LEASE_S": "8"}
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(stall_s=0.1), **hands, **lease) as run:
        client = run.client()
        run.worker()
        long = await submit(client, jsonl(*(chat_line(n) for n in range(400))))
        await wait_for(client, long, lambda found: found.status == "in_progress")
        short = await submit(client, jsonl(chat_line(9001)))
        assert (await wait_for(client, short)).status == "completed"
        assert (await client.batches.retrieve(long.id)).status == "in_progress"
        assert (await wait_for(client, long)).status == "completed"
        assert max(run.asked().values()) == 1


async def test_a_budget_is_used_up_to_the_last_request_and_never_overspent(
    tmp_path: Path, valkey: str, wait_for: Wait
) -> None:
    budget, reserved = 0.001, 0.00015
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(stall_s=0.02)) as run:
        key = run.key(limits={"budget_per_month_usd": budget})
        client = run.client(key["key"])
        body = {"model": "mock", "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]}
        file_id = await upload(client, jsonl(*(chat_line(n, body=body) for n in range(80))))
        batch = await client.post(
            "/batches",
            body={"input_file_id": file_id, "endpoint": CHAT, "completion_window": "1h"},
            cast_to=Batch,
        )
        # A batch that outlives the month rightly waits for the new one's budget: this one ends before, at most times.
        with closing(sqlite3.connect(run.platform.data_dir / "gateway.sqlite", timeout=10)) as connection, connection:
            connection.execute("UPDATE batches SET expires_at = ?", (int(time.time()) + 150,))
        run.worker()
        ended = await wait_for(client, batch, seconds=120)
        counts = ended.request_counts
        assert counts is not None
        assert 10 < counts.completed < 80
        assert counts.completed + counts.failed == 80
        errors = await lines_of(client, ended.error_file_id)
        assert {(line["response"]["status_code"], line["response"]["body"]["error"]["code"]) for line in errors} == {
            (429, "insufficient_quota")
        }
        usage = ended.usage
        assert usage is not None
        spent = (usage.input_tokens + 2 * usage.output_tokens) / 1e6
        assert budget - reserved < spent <= budget


async def test_usage_and_limits_are_the_keys_own(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    async with batch_platform(tmp_path, valkey) as run:
        key = run.key()
        client = run.client(key["key"])
        run.worker()
        batch = await submit(client, jsonl(*(chat_line(n) for n in range(5))))
        ended = await wait_for(client, batch)
        ids = {line["response"]["request_id"] for line in await lines_of(client, ended.output_file_id)}
        for _ in range(600):
            found = json.loads((await client._client.get(f"{run.url}/v1/usage", headers=client.auth_headers)).text)[
                "data"
            ]
            if len(found) == 5:
                break
            await asyncio.sleep(0.1)
        assert {row["request_id"] for row in found} == ids
        assert {row["key_id"] for row in found} == {key["id"]}
        assert ended.usage is not None
        assert sum(row["completion_tokens"] for row in found) == ended.usage.output_tokens == 45


async def test_batches_of_one_tenant_leave_the_others_half_of_a_worker(
    tmp_path: Path, valkey: str, database_url: str, wait_for: Wait
) -> None:
    bounds = {"SLUICE_GATEWAY_BATCH_LANES": "2", "SLUICE_GATEWAY_WORKER_CONCURRENCY": "2"}
    async with batch_platform(tmp_path, valkey, database_url, Behaviour(stall_s=0.3), **bounds) as run:
        many, one = run.client(), run.client(tenant="beta")
        first = [await submit(many, jsonl(*(chat_line(n) for n in range(20)))) for _ in range(6)]
        later = await submit(one, jsonl(chat_line(1), chat_line(2)))
        run.worker()
        assert (await wait_for(one, later)).status == "completed"
        found = [await many.batches.retrieve(batch.id) for batch in first]
        assert sum(batch.status == "completed" for batch in found) < 3
        for batch in first:
            assert (await wait_for(many, batch, seconds=120)).status == "completed"
