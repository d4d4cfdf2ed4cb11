"""The store of leases in Redis and the one in memory that tests use: one set of rules."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
from lease_bank import Bank
from redis.asyncio import Redis

from sluice.errors import DependencyUnavailable
from sluice.redis import open_redis
from sluice.settings import PlatformSettings
from sluice.testing import redis_at
from sluice.testing.servers import Valkey, valkey_process
from sluice_gateway.adapters.lease_store import PREFIX, RUN, RedisLeaseStore
from sluice_gateway.domain.leases import NANO, Ask, CounterName, Grant, counter_key
from sluice_gateway.domain.ports import LeaseStore

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
RATE = CounterName("key", "key_1", "requests", 7)
BUDGET = CounterName("team", "team_1", "month", 24_000)
PLACES = CounterName("key", "key_1", "concurrent", 0)
SPENT = {"life_old": 0.3, "": 0.2}
Open = Callable[[str], LeaseStore]


class Records:
    """What the records say was spent."""

    def __init__(self, spent: Mapping[str, float]) -> None:
        self._spent = spent

    async def spent(self, names: Sequence[CounterName]) -> Mapping[CounterName, Mapping[str, float]]:
        return dict.fromkeys(names, self._spent)


def opener(redis: Redis, **changes: Any) -> Open:
    """Return what opens the store for a life of a process."""
    settings = {"grace_s": 0.0, "dead_after_s": 60.0, **changes}
    return lambda life: RedisLeaseStore(redis, Records(SPENT), life, **settings)


@pytest.fixture(params=["memory", "valkey"])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    if request.param == "memory":
        spent = {BUDGET: {life or "-": int(dollars * NANO) for life, dollars in SPENT.items()}}
        yield Bank(spent=spent).opened
        return
    redis = redis_at(request.getfixturevalue("flushed_valkey"))
    yield opener(redis)
    await redis.aclose()


def ask(name: CounterName = RATE, mine: int | None = 0, **changes: int) -> Ask:
    """Return an ask on a limit of 100."""
    values = {"open": 0, "need": 0, "least": 0, "want": 0, "limit": 100, **changes}
    return Ask(name, mine, **values)


async def granted(store: LeaseStore, question: Ask) -> Grant:
    return (await store.exchange([question])).grants[0]


async def test_no_more_is_granted_than_the_limit_leaves(opened: Open) -> None:
    a, b = opened("a"), opened("b")
    assert (await granted(a, ask(need=60, least=60))).amount == 60
    refused = await granted(b, ask(need=50, least=50))
    assert (refused.amount, refused.left, refused.elsewhere) == (0, 40, 60)
    assert (await granted(b, ask(need=90, least=30))).amount == 40
    assert (await granted(a, ask(mine=60, need=1, least=1))).left == 0


async def test_what_is_wanted_beyond_need_is_a_share_of_what_is_left(opened: Open) -> None:
    a, b = opened("a"), opened("b")
    await b.exchange([])
    first = await granted(a, ask(need=1, least=1, want=90))
    assert (first.amount, first.left) == (25, 75)
    second = await granted(a, ask(mine=99, need=1, least=1, want=90))
    assert (second.amount, second.left) == (1, 0)


async def test_a_process_s_own_figure_replaces_what_the_store_had(opened: Open) -> None:
    a, b = opened("a"), opened("b")
    await granted(a, ask(need=100, least=100))
    assert (await granted(a, ask(mine=10))).left == 90
    assert (await granted(b, ask(need=90, least=90))).amount == 90


async def test_those_who_hold_something_learn_that_others_want_it(opened: Open) -> None:
    a, b = opened("a"), opened("b")
    await granted(a, ask(need=100, least=100))
    assert (await granted(a, ask(mine=100))).wanted is False
    await granted(b, ask(need=1, least=1))
    assert (await granted(a, ask(mine=100))).wanted is True


async def test_a_budget_gives_nothing_before_the_records_were_read(opened: Open) -> None:
    a = opened("a")
    question = ask(BUDGET, None, need=1, least=1, limit=NANO)
    unread = await granted(a, question)
    assert (unread.amount, unread.seeded) == (0, False)
    await a.seed([BUDGET])
    read = await granted(a, question)
    assert (read.amount, read.seeded, read.left) == (1, True, NANO // 2 - 1)
    old = await granted(opened("life_old"), question)
    assert (old.earlier, old.amount) == (3 * NANO // 10, 1)


async def test_a_grant_of_which_a_process_has_not_heard_is_not_counted_as_spent(opened: Open) -> None:
    a = opened("a")
    await granted(a, ask(mine=None, need=70, least=70))
    again = await granted(a, ask(mine=None, need=70, least=70))
    assert (again.earlier, again.amount) == (0, 70)


@pytest.fixture
async def redis(flushed_valkey: str) -> AsyncIterator[Redis]:
    client = redis_at(flushed_valkey)
    yield client
    await client.aclose()


async def test_places_of_a_process_without_a_sign_of_life_are_free(redis: Redis) -> None:
    opened = opener(redis, dead_after_s=1.5)
    await granted(opened("a"), ask(PLACES, need=100, least=100))
    b = opened("b")
    assert (await granted(b, ask(PLACES, need=1, least=1))).amount == 0
    await asyncio.sleep(1.6)
    assert (await granted(b, ask(PLACES, need=1, least=1))).amount == 1


async def test_a_question_that_comes_late_changes_nothing(redis: Redis) -> None:
    late, store = RedisLeaseStore(redis, Records({}), "a", grace_s=0, dead_after_s=9), opener(redis)("a")
    await granted(store, ask(mine=5))
    await granted(store, ask(mine=50))
    with pytest.raises(DependencyUnavailable):
        await late.exchange([ask(mine=5)])
    assert (await granted(opener(redis)("b"), ask(need=60, least=60))).left == 50


async def restarted_without_data(valkey: Valkey, redis: Redis) -> None:
    await redis.delete(RUN, "sluice:limit:key:key_1:requests:7")
    await asyncio.to_thread(valkey.kill)
    await redis.connection_pool.disconnect()
    await asyncio.to_thread(valkey.start)


async def flushed(_valkey: Valkey, redis: Redis) -> None:
    await redis.flushall()


@pytest.mark.parametrize("emptied", [restarted_without_data, flushed])
async def test_after_redis_lost_its_data_all_tell_what_they_have_before_anything_is_granted(
    emptied: Callable[[Valkey, Redis], Awaitable[None]],
) -> None:
    with valkey_process() as valkey:
        redis = redis_at(valkey.url)
        a, b = opener(redis, grace_s=1.0)("a"), opener(redis, grace_s=1.0)("b")
        first = await a.exchange([ask(need=1, least=1)])
        assert (first.settling, first.grants[0].amount) == (True, 0)
        await asyncio.sleep(1.1)
        assert (await granted(a, ask(need=60, least=60))).amount == 60
        await emptied(valkey, redis)
        told = await b.exchange([ask(need=100, least=100)])
        assert (told.settling, told.run != first.run, told.grants[0].amount) == (True, True, 0)
        await a.exchange([ask(mine=60)])
        await asyncio.sleep(1.1)
        assert (await granted(b, ask(need=100, least=1))).amount == 40
        await redis.aclose()


async def put_back(redis: Redis, counter: str, told: Mapping[str, str]) -> None:
    """Make of Redis what a restart makes of one that wrote to its disk long ago."""
    await redis.hset(RUN, mapping={"run": "an-earlier-one"})
    await redis.hset(counter, mapping=dict(told))


async def test_after_redis_came_back_as_it_was_long_ago_a_budget_has_what_the_records_say(redis: Redis) -> None:
    counter = f"{PREFIX}{counter_key(BUDGET)}"
    spent = {"ended": 0.4, "idle": 0.2, "telling": 0.05}
    stores = {
        life: RedisLeaseStore(redis, Records(spent), life, grace_s=0, dead_after_s=60) for life in (*spent, "new")
    }
    question = ask(BUDGET, None, limit=NANO)
    await granted(stores["idle"], question)
    await stores["idle"].seed([BUDGET])
    assert (await granted(stores["idle"], question)).seeded
    await put_back(redis, counter, {"ended": f"{NANO // 100}:0", "idle": f"{NANO // 10}:{NANO // 20}"})
    telling = ask(BUDGET, NANO // 10, open=NANO // 100, limit=NANO)
    assert not (await granted(stores["telling"], telling)).seeded
    assert (await granted(stores["new"], ask(BUDGET, None, need=1, least=1, limit=NANO))).amount == 0
    await stores["new"].seed([BUDGET])
    found = await granted(stores["new"], ask(BUDGET, None, need=1, least=1, limit=NANO))
    assert (found.amount, found.left) == (1, 3 * NANO // 10 - 1), "0.4 and 0.2 by the records, 0.1 as it is told"
    assert (await granted(stores["idle"], question)).earlier == NANO // 5, "it takes up what it had spent"


async def test_no_broken_connection_to_a_redis_that_was_started_anew_is_used() -> None:
    with valkey_process() as valkey:
        settings = PlatformSettings(_env_file=None, env="dev", redis_url=valkey.url)
        async with open_redis(settings, retries=0) as redis:
            store = opener(redis)("a")
            await asyncio.gather(*(store.seed([BUDGET]) for _ in range(4)))  # four connections
            await asyncio.to_thread(valkey.kill)
            with pytest.raises(DependencyUnavailable):
                await store.exchange([ask()])
            await asyncio.to_thread(valkey.start)
            await asyncio.gather(*(store.seed([BUDGET]) for _ in range(4)))
            assert (await granted(store, ask(need=1, least=1))).amount == 1


async def test_a_redis_that_is_away_is_told_as_such() -> None:
    redis = redis_at("redis://127.0.0.1:9/0")
    store = RedisLeaseStore(redis, Records({}), "a", grace_s=0, dead_after_s=9)
    with pytest.raises(DependencyUnavailable):
        await store.exchange([ask(need=1)])
    with pytest.raises(DependencyUnavailable):
        await store.seed([BUDGET])
    await redis.aclose()


async def test_large_budgets_keep_their_figures(redis: Redis) -> None:
    store = opener(redis)("a")
    question = ask(RATE, limit=10**15, need=10**14 + 7, least=1)
    found = await granted(store, question)
    assert (found.amount, found.left) == (10**14 + 7, 10**15 - 10**14 - 7)
