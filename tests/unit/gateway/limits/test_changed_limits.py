"""Limits that change while requests draw from them."""

import asyncio
from collections.abc import Callable

import pytest
from lease_bank import Bank
from tests.unit.gateway.limits.limited import Run, limits, running

from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.errors import LimitReached, QuotaUsedUp


async def become(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


class Crowd:
    """Clients that ask again as soon as they were answered, of one process."""

    def __init__(self, run: Run, size: int) -> None:
        self._run = run
        self.inside: list[RequestContext] = []
        self.answered = 0
        self._clients = [asyncio.create_task(self._client()) for _ in range(size)]

    async def _client(self) -> None:
        while True:
            ctx = await self._run.enter()
            self.inside.append(ctx)
            await asyncio.sleep(0.02)
            self.inside.remove(ctx)
            self._run.end(ctx)
            self.answered += 1

    def leave(self) -> None:
        for client in self._clients:
            client.cancel()


async def test_fewer_places_hold_although_others_wait_for_each_that_becomes_free() -> None:
    async with running(limits(max_concurrent=10)) as run:
        crowd = Crowd(run, 30)
        await become(lambda: len(crowd.inside) == 10)
        run.limit(limits(max_concurrent=2))
        await become(lambda: len(crowd.inside) == 2)
        after = crowd.answered + 50
        most = 0
        async with asyncio.timeout(60):
            while crowd.answered < after:
                most = max(most, len(crowd.inside))
                await asyncio.sleep(0.005)
        assert most == 2
        run.limit(limits(max_concurrent=6))
        await become(lambda: len(crowd.inside) == 6)
        crowd.leave()


async def test_fewer_places_hold_over_processes_of_which_none_waits_for_one() -> None:
    bank = Bank()
    wide, narrow = limits(max_concurrent=12), limits(max_concurrent=6)
    async with running(wide, bank=bank, life="a") as one, running(wide, bank=bank, life="b") as other:
        crowds = [Crowd(run, 5) for run in (one, other)]
        await become(lambda: all(len(crowd.inside) == 5 for crowd in crowds))
        one.limit(narrow)
        other.limit(narrow)

        def held() -> int:
            return sum(granted for fields in bank.counters.values() for granted, _ in fields.values())

        await become(lambda: held() <= 6)
        after = [crowd.answered + 40 for crowd in crowds]
        most = 0
        async with asyncio.timeout(60):
            while any(crowd.answered < least for crowd, least in zip(crowds, after, strict=True)):
                most = max(most, sum(len(crowd.inside) for crowd in crowds))
                await asyncio.sleep(0.005)
        assert most <= 6
        for crowd in crowds:
            crowd.leave()


@pytest.mark.parametrize("kind", ["requests_per_minute", "budget_per_day_usd", "tokens_per_minute"])
async def test_what_a_process_holds_of_a_limit_is_no_more_than_a_lower_one_allows(kind: str) -> None:
    async with running(limits(**{kind: 1_000_000})) as run:
        for _ in range(200):
            run.end(await run.enter())
        run.limit(limits(**{kind: 0.0001 if kind == "budget_per_day_usd" else 100}))
        with pytest.raises((LimitReached, QuotaUsedUp)):
            await run.enter()


async def test_a_request_that_began_before_a_change_does_not_undo_it() -> None:
    team = limits("team", max_concurrent=10, budget_per_day_usd=1.0)
    async with running(team, limits(requests_per_minute=1000)) as run:
        early = await run.enter()
        run.limit(limits("team", max_concurrent=10, budget_per_day_usd=0.0001), limits(requests_per_minute=1000))
        with pytest.raises(QuotaUsedUp):
            await run.enter()
        assert early.reservation is not None
        with pytest.raises(QuotaUsedUp):  # a fallback that costs more, by the budget as it is now
            await run.limits.cover(early, run.context(model="dear").model)  # type: ignore[arg-type] # it is known
        assert {lease.limit for lease in early.reservation.draws.money} == {100_000}


async def test_a_request_that_waited_while_limits_changed_gives_back_the_places_that_it_took() -> None:
    async with running(limits(max_concurrent=1), limit_queue_wait_s=60) as run:
        first = await run.enter()
        second = asyncio.create_task(run.enter())
        await asyncio.sleep(0)
        run.limit(limits("team", max_concurrent=1), limits(max_concurrent=1))
        third = asyncio.create_task(run.enter())
        await asyncio.sleep(0)
        run.end(first)
        waited = await second
        assert waited.reservation is not None
        assert [lease.name.level for lease in waited.reservation.draws.slots] == ["key"]
        run.end(waited)
        last = await third
        assert last.reservation is not None
        assert [lease.name.level for lease in last.reservation.draws.slots] == ["team", "key"]
        slots = last.reservation.draws.slots
        run.end(last)
        assert [lease.used for lease in slots] == [0, 0]
