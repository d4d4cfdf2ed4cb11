"""Limits hold over real gateway processes that share one Valkey."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from openai_provider import Behaviour
from tests.integration.gateway.limits.fleet import (
    CHAT,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    Fleet,
    eventually,
    fleet,
    statuses,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="started")
async def _started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    # A batch begins with half of its lanes.
    lanes = {"SLUICE_GATEWAY_BATCH_LANES": "400", "SLUICE_GATEWAY_BATCH_LANES_IN_ALL": "400"}
    async with fleet(tmp_path_factory.mktemp("fleet"), **lanes) as started:
        yield started


@pytest.fixture
def run(started: Fleet) -> Fleet:
    started.provider.default = Behaviour(text="one two three four five")
    return started


@pytest.mark.parametrize(
    ("path", "fields"),
    [(CHAT, {}), (CHAT, {"stream": True}), (EMBEDDINGS, {}), (MESSAGES, {"stream": True}), (RESPONSES, {})],
    ids=["chat", "chat-stream", "embeddings", "messages", "responses"],
)
async def test_200_requests_at_once_on_a_budget_for_10_never_overspend(
    run: Fleet, path: str, fields: dict[str, Any]
) -> None:
    run.provider.default = Behaviour(text="one two three four five", stall_s=0.3)
    free = await run.key()
    await run.ask(free, path, **fields)
    price = await eventually(lambda: run.spent(run.made[-1]), what="the price of one request")
    key = await run.key(budget_per_day_usd=10 * price)
    answers = await run.ask_many(200, key, path, **fields)
    found = statuses(answers)
    assert set(found) == {200, 429}, found
    assert 1 <= found[200] <= 10
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"].get("code", "insufficient_quota") == "insufficient_quota"
    assert "This API key may spend $" in refused.json()["error"]["message"]
    while (await run.ask(key, path, **fields)).status_code == 200:
        found[200] += 1
    assert found[200] <= 10
    await all_stored(run, found[200])
    assert await run.spent(run.made[-1]) <= 10 * price * (1 + 1e-9)


async def test_a_batch_of_200_at_once_shares_a_budget_for_10_with_the_requests_beside_it(run: Fleet) -> None:
    run.provider.default = Behaviour(text="one two three four five", stall_s=0.3)
    free = await run.key()
    await run.ask(free)
    price = await eventually(lambda: run.spent(run.made[-1]), what="the price of one request")
    key = await run.key(budget_per_day_usd=10 * price)
    refusals = 'sluice_gateway_limit_refusals_total{level="key",limit="day"}'
    before = await run.metric(0, refusals)
    batch = await run.batch(key, 200)

    async def all_asked() -> bool:
        return await run.metric(0, refusals) - before >= 190

    await eventually(all_asked, seconds=60, what="all lines of the batch")
    served = 0
    while (await run.ask(key)).status_code == 200:
        served += 1
    ended = await run.end_batch(key, batch)
    served += ended["request_counts"]["completed"]
    assert 1 <= served <= 10
    await all_stored(run, served)
    rows = await run.rows(run.made[-1])
    assert len(rows) == served
    assert sum(row["cost_usd"] for row in rows) <= 10 * price * (1 + 1e-9)


async def all_stored(run: Fleet, count: int) -> None:
    async def stored() -> bool:
        return len(await run.rows(run.made[-1])) >= count

    await eventually(stored, what="all rows in the database")


def minutes_since(began: float) -> int:
    """Return how many minutes of the clock there were; the header `date` may be a second late."""
    return int(time.time() // 60) - int(began // 60) + 1


async def test_a_rate_holds_over_two_processes(run: Fleet) -> None:
    key = await run.key(requests_per_minute=100)
    began = time.time()
    answers = []
    while len(answers) < 400 and not (len(answers) > 160 and statuses(answers)[429]):
        answers += await run.ask_many(40, key)
    served = statuses(answers)[200]
    minutes = minutes_since(began)
    assert set(statuses(answers)) == {200, 429}
    assert served <= 100 * minutes * 1.01
    if minutes == 1:
        assert served >= 99
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.headers["x-ratelimit-limit-requests"] == "100"
    assert 1 <= int(refused.headers["retry-after"]) <= 60


async def test_no_more_requests_than_allowed_are_in_progress_and_the_rest_waits_its_turn(run: Fleet) -> None:
    run.provider.default = Behaviour(text="one two", stall_s=0.15)
    key = await run.key(max_concurrent=4)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, run.provider.working)
            await asyncio.sleep(0.01)

    watcher = asyncio.create_task(watch())
    answers = await run.ask_many(40, key)
    watcher.cancel()
    assert statuses(answers) == {200: 40}
    assert 2 <= most <= 4


async def test_a_queue_has_an_end_and_a_time_limit(tmp_path: Any) -> None:
    limits = {"SLUICE_GATEWAY_LIMITS_QUEUE": "2", "SLUICE_GATEWAY_LIMITS_QUEUE_WAIT_S": "2"}
    async with fleet(tmp_path, 1, **limits) as run:
        key = await run.key(max_concurrent=1)

        async def served() -> bool:
            return (await run.ask(key)).status_code == 200

        await eventually(served, what="the end of the moment in which a new Redis grants nothing")
        gate = asyncio.Event()
        run.provider.default = Behaviour(gate=gate)
        asked = [asyncio.create_task(run.ask(key)) for _ in range(6)]
        await eventually(lambda: _done(asked, 5), what="all but the one that has the place")
        gate.set()
        answers = await asyncio.gather(*asked)
        assert statuses(answers) == {200: 1, 429: 5}
        messages = {answer.json()["error"]["message"] for answer in answers if answer.status_code == 429}
        assert {"wait already" in message for message in messages} == {True, False}
        codes = {answer.json()["error"]["code"] for answer in answers if answer.status_code == 429}
        assert codes == {"concurrency_limit_exceeded"}
        run.provider.default = Behaviour()
        assert (await run.ask(key)).status_code == 200


async def _done(tasks: list[asyncio.Task[httpx.Response]], count: int) -> bool:
    return sum(task.done() for task in tasks) >= count


async def test_tokens_a_minute_hold_and_what_was_not_used_comes_back(run: Fleet) -> None:
    key = await run.key(tokens_per_minute=2000)
    began = time.time()
    answers = []
    for _ in range(12):
        answers += await run.ask_many(20, key)
    used = sum(answer.json()["usage"]["total_tokens"] for answer in answers if answer.status_code == 200)
    minutes = minutes_since(began)
    assert set(statuses(answers)) <= {200, 429}
    assert 0 < used <= 2000 * minutes * 1.01
    alone = await run.ask(key, max_tokens=100_000)
    assert alone.status_code == 429
    assert "may use" in alone.json()["error"]["message"]
    assert alone.headers["x-ratelimit-limit-tokens"] == "2000"


async def test_clients_that_leave_are_charged_what_they_used_and_no_more(run: Fleet) -> None:
    run.provider.default = Behaviour(text="word " * 40, chunk_delay_s=0.05)
    key = await run.key(budget_per_day_usd=1.0)  # the reservation of one request is about 0.12
    for _ in range(12):
        url = run.urls[run.spread % 2] + CHAT
        body = {"model": "chat", "max_tokens": 100, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        async with run.client.stream("POST", url, json=body, headers=key) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for _line in answer.aiter_lines():
                break
        run.spread += 1
    await all_stored(run, 12)
    rows = await run.rows(run.made[-1])
    assert {row["status"] for row in rows} == {"cancelled"}
    assert sum(row["cost_usd"] for row in rows) < 0.5


async def test_a_fallback_is_reserved_at_its_own_price(run: Fleet) -> None:
    # `away` answers with a failure; `dear` costs ten times as much, which the budget does not cover.
    key = await run.key(budget_per_day_usd=0.1)
    run.provider.default = Behaviour(status=500)
    seen = len(run.provider.seen)
    refused = await run.ask(key, model="away", at=0)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_failed")
    assert {one.json["model"] for one in run.provider.seen[seen:]} == {"away"}
    run.provider.default = Behaviour(text="one two three four five")
    rich = await run.key(budget_per_day_usd=10)
    run.provider.next(Behaviour(status=500))
    assert (await run.ask(rich, model="away", at=0)).status_code == 200


async def test_a_fallback_that_a_budget_does_not_cover_leaves_the_next_one_its_turn(run: Fleet) -> None:
    key = await run.key(budget_per_day_usd=0.1)
    run.provider.next(Behaviour(status=500))
    seen = len(run.provider.seen)
    answer = await run.ask(key, model="far", at=0)
    assert (answer.status_code, answer.headers["x-sluice-model"]) == (200, "chat")
    assert [one.json["model"] for one in run.provider.seen[seen:]] == ["far", "chat"]


async def test_every_level_counts_for_itself(run: Fleet) -> None:
    admin = {"headers": {"authorization": "Bearer admin-key-for-tests-0123456789"}}
    url = run.urls[0]
    organization = (
        await run.client.post(f"{url}/admin/organizations", json={"name": "o", "tenant": "org-o"}, **admin)
    ).json()
    team = await run.client.post(
        f"{url}/admin/teams",
        json={"name": "t", "organization_id": organization["id"], "limits": {"requests_per_minute": 3}},
        **admin,
    )
    assert team.status_code == 201, team.text
    keys = []
    for number in range(2):
        made = await run.client.post(
            f"{url}/admin/keys", json={"name": f"k{number}", "team_id": team.json()["id"]}, **admin
        )
        keys.append({"authorization": f"Bearer {made.json()['key']}"})
        await run.known(keys[-1])
    began = time.time()
    answers = [await run.ask(keys[number % 2], at=number // 2) for number in range(12)]
    minutes = minutes_since(began)
    assert 3 <= statuses(answers)[200] <= 3 * minutes
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert "The team of this API key may send 3 requests" in refused.json()["error"]["message"]
