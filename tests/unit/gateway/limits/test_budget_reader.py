"""Reading what was spent of budgets: many in one question, few questions beside each other, and those first that are waited for."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from lease_bank import Bank, Counter

from sluice.clock import SystemClock
from sluice.errors import DependencyUnavailable
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.dataplane.budget_reader import BudgetReader
from sluice_gateway.dataplane.lease_keeper import LeaseKeeper
from sluice_gateway.domain.leases import Ask, CounterName, Lease
from sluice_gateway.domain.ports import Exchange, LeaseStore
from sluice_gateway.metrics import GatewayMetrics


def budget(number: int) -> CounterName:
    return CounterName("key", f"key_{number}", "month", 1)


async def eventually(check: Callable[[], bool], *, what: str) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(60):
        while not check():
            await asyncio.sleep(0.005)
    assert check(), what


class Records:
    """A store whose questions wait at a gate."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked: list[list[CounterName]] = []
        self.at_once = self.most_at_once = 0
        self.away = False

    async def exchange(self, asks: object) -> Exchange:
        raise NotImplementedError

    async def seed(self, names: Sequence[CounterName]) -> None:
        self.asked.append(list(names))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        if self.away:
            raise DependencyUnavailable("The records are away.")


async def test_five_thousand_budgets_are_a_few_dozen_questions_and_four_at_once() -> None:
    records = Records()
    reader = BudgetReader(records, lambda names: None)
    for _ in range(2):
        for number in range(5000):
            reader.read(budget(number), urgent=False)
    await eventually(lambda: records.at_once == 4, what="four questions")
    records.gate.set()
    await eventually(lambda: budget(4999) not in reader, what="the last budget")
    assert sorted(name.holder for names in records.asked for name in names) == sorted(f"key_{n}" for n in range(5000))
    assert (len(records.asked), records.most_at_once) == (40, 4)


async def test_what_a_request_waits_for_is_read_next() -> None:
    records = Records()
    reader = BudgetReader(records, lambda names: None)
    for number in range(5000):
        reader.read(budget(number), urgent=False)
    await eventually(lambda: records.at_once == 4, what="four questions")
    reader.read(budget(4321), urgent=True)
    reader.read(budget(9999), urgent=True)
    records.gate.set()
    await eventually(lambda: len(records.asked) > 4, what="the fifth question")
    assert records.asked[4][:2] == [budget(4321), budget(9999)]
    await eventually(lambda: not any(budget(number) in reader for number in range(5000)), what="the end")
    assert sum(names.count(budget(4321)) for names in records.asked) == 1


async def test_a_budget_that_could_not_be_read_can_be_read_again() -> None:
    records = Records()
    records.gate.set()
    records.away = True
    reader = BudgetReader(records, lambda names: None)
    reader.read(budget(1), urgent=True)
    await eventually(lambda: len(records.asked) == 1, what="the first question")
    assert budget(1) in reader, "not at once"
    await eventually(lambda: budget(1) not in reader, what="the pause")
    records.away = False
    reader.read(budget(1), urgent=True)
    await eventually(lambda: len(records.asked) == 2, what="the second question")
    reader.stop()


class Noting(Counter):
    """A way to the bank that notes how many counters each question names, and which came first."""

    async def exchange(self, asks: Sequence[Ask]) -> Exchange:
        self.sizes = [*getattr(self, "sizes", []), len(asks)]
        return await super().exchange(asks)


async def test_many_counters_are_asked_for_few_at_a_time_and_what_is_needed_goes_first() -> None:
    store = Noting(Bank(), "a")
    keeper = LeaseKeeper(store, SystemClock(), GatewayMetrics(MetricRegistry()))
    leases = [keeper.lease("key", f"key_{number}", "requests", 1000, SystemClock.now()) for number in range(1700)]
    running = asyncio.create_task(keeper.run())
    await keeper.refill([(leases[-1], 1)])
    assert leases[-1].held >= 1
    assert store.asked[0].name == leases[-1].name
    await eventually(lambda: all(lease.known for lease in leases), what="that all were told")
    assert max(store.sizes) <= 500
    running.cancel()


async def waiting_for_one(keeper: LeaseKeeper, lease: Lease) -> asyncio.Task[None]:
    waiting = asyncio.create_task(keeper.refill([(lease, 1)]))
    await asyncio.sleep(0)
    return waiting


def needed(store: Counter, lease: Lease) -> int:
    return sum(ask.name == lease.name and ask.need > 0 for ask in store.asked)


@asynccontextmanager
async def kept(store: LeaseStore) -> AsyncIterator[LeaseKeeper]:
    keeper = LeaseKeeper(store, SystemClock(), GatewayMetrics(MetricRegistry()))
    running = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        running.cancel()


class Slow(Noting):
    """A way to a bank whose records wait at a gate."""

    async def seed(self, names: Sequence[CounterName]) -> None:
        self.reading = True
        await self.gate.wait()
        await super().seed(names)


async def test_a_request_waits_until_its_budget_is_read_and_is_asked_for_twice() -> None:
    store = Slow(Bank(), "a")
    store.gate, store.reading = asyncio.Event(), False
    async with kept(store) as keeper:
        money = keeper.lease("key", "key_1", "month", 1000, SystemClock.now())
        rate = keeper.lease("key", "key_1", "requests", 1000, SystemClock.now())
        waiting = await waiting_for_one(keeper, money)
        await eventually(lambda: store.reading, what="that it is being read")
        for _ in range(3):
            await keeper.refill([(rate, 1)])
        assert not waiting.done()
        store.gate.set()
        await waiting
        assert money.held >= 1
        assert needed(store, money) == 2


async def test_while_redis_settles_those_who_wait_are_asked_for_once_and_again_when_it_has() -> None:
    bank = Bank(settling=True)
    store = Noting(bank, "a")
    async with kept(store) as keeper:
        leases = [keeper.lease("key", f"key_{number}", "requests", 1000, SystemClock.now()) for number in range(700)]
        waiting = [await waiting_for_one(keeper, lease) for lease in leases]
        await eventually(lambda: len(getattr(store, "sizes", ())) > 8, what="some rounds")
        assert not any(one.done() for one in waiting)
        bank.settling = False
        await asyncio.gather(*waiting)
        assert {needed(store, lease) for lease in leases} <= {1, 2}, "a tick may have told of some before"


async def test_who_waits_is_told_when_the_store_goes_away() -> None:
    store = Noting(Bank(settling=True), "a")
    async with kept(store) as keeper:
        waiting = await waiting_for_one(keeper, keeper.lease("key", "key_1", "requests", 1000, SystemClock.now()))
        await eventually(lambda: len(getattr(store, "sizes", ())) > 1, what="some rounds")
        store.away = True
        await waiting
        assert keeper.degraded


class Turning(Counter):
    """A way to the bank whose answer takes five turns of the loop."""

    async def exchange(self, asks: Sequence[Ask]) -> Exchange:
        for _ in range(5):
            await asyncio.sleep(0)
        return await super().exchange(asks)


async def test_a_loop_that_is_late_does_not_make_the_store_away() -> None:
    async def busy() -> None:
        while True:
            time.sleep(0.4)  # as ten thousand requests that are refused
            await asyncio.sleep(0)

    async with kept(Turning(Bank(), "a")) as keeper:
        lease = keeper.lease("key", "key_1", "requests", 1000, SystemClock.now())
        others = asyncio.create_task(busy())
        await keeper.refill([(lease, 1)])
        others.cancel()
        assert (keeper.degraded, lease.held >= 1) == (False, True)
