"""Limits are not opened when Redis or a gateway dies."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import redis
from openai_provider import Behaviour
from tests.integration.gateway.limits.fleet import Fleet, eventually, fleet, statuses

from sluice.contracts.routing import SNAPSHOT_KEY

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
DEGRADED = "sluice_gateway_limits_degraded"


@pytest.fixture
async def run(tmp_path: Any) -> AsyncIterator[Fleet]:
    async with fleet(tmp_path) as started:
        yield started


async def test_redis_killed_under_load_opens_no_limit_and_all_is_well_when_it_is_back(run: Fleet) -> None:
    run.provider.default = Behaviour(text="one two three four five", stall_s=0.02)
    price = await price_of_one(run)
    key = await run.key(budget_per_day_usd=200 * price, requests_per_minute=100_000, max_concurrent=50)
    stop = asyncio.Event()
    answers: list[httpx.Response] = []

    async def load() -> None:
        while not stop.is_set():
            answers.append(await run.ask(key))

    clients = [asyncio.create_task(load()) for _ in range(8)]
    await eventually(lambda: _count(answers, 40), what="some answers")
    await asyncio.to_thread(run.valkey.kill)
    await eventually(lambda: _marked(answers), what="a degraded answer")
    for at in range(2):
        await eventually(lambda at=at: _is_degraded(run, at), what="the gauge")
    await asyncio.to_thread(run.valkey.start)
    for at in range(2):
        await eventually(lambda at=at: _is_shared(run, at), what="the gauge back at 0")
    await asyncio.sleep(1.5)
    served_again = len(answers)
    await eventually(lambda: _count(answers, served_again + 10), what="answers again")
    stop.set()
    await asyncio.gather(*clients)
    found = statuses(answers)
    assert set(found) <= {200, 429, 503}, found
    while (answer := await run.ask(key)).status_code in (200, 503):  # it may still hear from the other one
        answers.append(answer)
    assert answer.json()["error"]["code"] == "insufficient_quota", answer.text
    served = statuses(answers)[200]
    assert served <= 200
    spent = sum(float(one.headers["x-sluice-cost"]) for one in answers if one.status_code == 200)
    assert spent <= 200 * price * (1 + 1e-9)


async def test_a_process_that_never_had_a_lease_refuses_limited_keys_while_redis_is_away(run: Fleet) -> None:
    limited = await run.key(requests_per_minute=100)
    free = await run.key()
    await asyncio.to_thread(run.valkey.kill)
    await eventually(lambda: _is_degraded(run, 0), what="the gauge")
    refused = await run.ask(limited, at=0)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "limits_unavailable"
    assert refused.headers["x-sluice-limits"] == "degraded"
    assert (await run.ask(free, at=0)).status_code == 200


async def test_a_redis_that_lost_everything_learns_from_the_records_what_was_spent(run: Fleet) -> None:
    price = await price_of_one(run)
    key = await run.key(budget_per_day_usd=20 * price)
    answers = [await run.ask(key) for _ in range(5)]
    assert statuses(answers) == {200: 5}
    await eventually(lambda: _rows(run, 5), what="the rows")
    for gateway in run.gateways:
        gateway.kill()
    empty(run)
    for at in range(2):
        await asyncio.to_thread(run.start, at)
    more = [await run.ask(key) for _ in range(25)]
    assert 1 <= statuses(more)[200] <= 15
    assert statuses(more)[429] >= 10


async def test_a_redis_that_is_emptied_under_load_opens_no_budget(run: Fleet) -> None:
    run.provider.default = Behaviour(text="one two three four five", stall_s=0.02)
    price = await price_of_one(run)
    key = await run.key(budget_per_day_usd=100 * price)
    answers: list[httpx.Response] = []

    async def load() -> None:
        while (answer := await run.ask(key)).status_code != 429:
            answers.append(answer)
        answers.append(answer)

    clients = [asyncio.create_task(load()) for _ in range(8)]
    for count in (20, 50):
        await eventually(lambda count=count: _served(answers, count), what="some answers")
        empty(run)
    await asyncio.gather(*clients)
    codes = {(answer.status_code, answer.json()["error"]["code"]) for answer in answers if answer.status_code != 200}
    assert (429, "insufficient_quota") in codes
    assert codes <= {(429, "insufficient_quota"), (503, "limits_unavailable")}
    await eventually(lambda: _rows(run, statuses(answers)[200]), what="all rows, those that Redis lost included")
    for gateway in run.gateways:
        gateway.kill()
    empty(run)
    for at in range(2):
        await asyncio.to_thread(run.start, at)
    await load()
    assert answers[-1].json()["error"]["code"] == "insufficient_quota"
    served = statuses(answers)[200]
    assert 50 <= served <= 100
    spent = sum(float(one.headers["x-sluice-cost"]) for one in answers if one.status_code == 200)
    assert spent <= 100 * price * (1 + 1e-9)


async def test_a_gateway_killed_under_load_overspends_nothing_and_after_its_restart_the_budget_is_exact(
    run: Fleet,
) -> None:
    run.provider.default = Behaviour(text="one two three four five", stall_s=0.05)
    price = await price_of_one(run)
    key = await run.key(budget_per_day_usd=60 * price)
    answers: list[httpx.Response] = []

    async def load(at: int) -> None:
        try:
            for _ in range(3):
                answer = await run.ask(key, at=at)
                answers.append(answer)
        except httpx.HTTPError:
            return

    clients = [asyncio.create_task(load(number % 2)) for number in range(8)]
    await eventually(lambda: _count(answers, 6), what="some answers")
    await asyncio.to_thread(run.gateways[0].kill)
    await asyncio.gather(*clients)
    while (answer := await run.ask(key, at=1)).status_code == 200:
        answers.append(answer)
    held_back = statuses(answers)[200]
    assert held_back <= 60
    await asyncio.to_thread(run.start, 0)
    await eventually(lambda: _logged(run, "budgets have what the run"), what="the clearing up")
    while (answer := await run.ask(key)).status_code == 200:
        answers.append(answer)
    await asyncio.sleep(1.5)
    while (answer := await run.ask(key)).status_code == 200:
        answers.append(answer)
    await eventually(lambda: _rows(run, statuses(answers)[200]), what="the rows")
    spent = await run.spent(run.made[-1])
    assert spent <= 60 * price * (1 + 1e-9)
    # What is left is less than what one request has to reserve.
    assert 60 * price - spent < 6 * price


async def test_places_of_a_killed_gateway_come_back(tmp_path: Any) -> None:
    async with fleet(tmp_path, 2, SLUICE_GATEWAY_LIMITS_DEAD_AFTER_S="2") as run:
        run.provider.default = Behaviour(stall_s=30)
        key = await run.key(max_concurrent=2)
        stuck = [asyncio.create_task(run.ask(key, at=0)) for _ in range(2)]
        await eventually(lambda: _seen(run, 2), what="two requests in progress")
        await asyncio.to_thread(run.gateways[0].kill)
        await asyncio.gather(*stuck, return_exceptions=True)
        run.provider.default = Behaviour()
        assert (await run.ask(key, at=1)).status_code == 200  # it waits until the two count no more


def empty(run: Fleet) -> None:
    """Let Redis lose everything but the routing snapshot, which its router would publish again."""
    with redis.Redis.from_url(run.valkey.url) as direct:
        snapshot = direct.get(SNAPSHOT_KEY)
        assert isinstance(snapshot, bytes)
        direct.flushall()
        direct.set(SNAPSHOT_KEY, snapshot)


async def price_of_one(run: Fleet) -> float:
    """Return what one request costs."""
    answer = await run.ask(await run.key())
    assert answer.status_code == 200, answer.text
    return float(answer.headers["x-sluice-cost"])


async def _count(answers: list[httpx.Response], count: int) -> bool:
    return len(answers) >= count


async def _served(answers: list[httpx.Response], count: int) -> bool:
    return statuses(answers)[200] >= count


async def _marked(answers: list[httpx.Response]) -> bool:
    return any(answer.headers.get("x-sluice-limits") == "degraded" for answer in answers)


async def _is_degraded(run: Fleet, at: int) -> bool:
    return await run.metric(at, DEGRADED) == 1


async def _is_shared(run: Fleet, at: int) -> bool:
    return await run.metric(at, DEGRADED) == 0


async def _rows(run: Fleet, count: int) -> bool:
    return len(await run.rows(run.made[-1])) >= count


async def _seen(run: Fleet, count: int) -> bool:
    return len(run.provider.seen) >= count


async def _logged(run: Fleet, text: str) -> bool:
    return text in run.gateways[0].log.read_text()
