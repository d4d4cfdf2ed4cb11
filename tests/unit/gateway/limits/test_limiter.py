"""What requests take of limits, what they wait for, and what they are told."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from lease_bank import Bank
from tests.unit.gateway.limits.limited import Run, limits, running

from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.answers import decision_headers
from sluice_gateway.dataplane.context import read_heads
from sluice_gateway.dataplane.errors import ApiError, Gone, LimitReached, PriceUnknown, QuotaUsedUp, Unavailable
from sluice_gateway.dataplane.limit_refusals import dollars
from sluice_gateway.dataplane.table import COUNT_TOKENS
from sluice_gateway.domain.ports import KeyRecord


async def refusal(run: Run, **changes: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await run.enter(**changes)
    return caught.value


async def test_a_key_without_limits_reserves_nothing_and_asks_nothing() -> None:
    async with running() as run:
        ctx = run.context()
        assert not ctx.key.limits
        assert ctx.reservation is None
        assert run.store.asked == []


async def test_the_first_request_waits_for_one_answer_and_the_next_ones_for_none() -> None:
    async with running(limits(requests_per_minute=1000, budget_per_day_usd=100)) as run:
        assert not run.limits.admit(run.context())
        await run.enter()
        asked = len(run.store.asked)
        assert all(run.limits.admit(run.context()) for _ in range(5))
        assert len(run.store.asked) == asked


async def test_a_budget_is_reserved_at_the_dearest_end_and_settled_to_the_cost() -> None:
    async with running(limits(budget_per_day_usd=0.001)) as run:
        ctx = await run.enter()
        size = len(ctx.raw)
        assert ctx.reservation is not None
        assert ctx.reservation.money == size * 1000 + 100 * 2000
        (lease,) = ctx.reservation.draws.money
        run.end(ctx)
        assert lease.used == 10 * 1000 + 5 * 2000
        assert ctx.reservation is None
        run.end(ctx)  # a second record changes nothing
        assert lease.used == lease.spent == 20_000


async def test_a_budget_does_not_pay_for_a_model_of_which_nobody_knows_the_price() -> None:
    async with running(limits(budget_per_month_usd=5, max_concurrent=1)) as run:
        assert not run.limits.admit(run.context(model="unpriced"))
        error = await refusal(run, model="unpriced")
        assert (error.status, error.error_code, error.headers) == (
            403,
            "price_unknown",
            ((b"x-should-retry", b"false"),),
        )
        assert "This API key has a budget" in error.message
        assert "`sluice prices set unpriced --input" in error.message
        ctx = await run.enter()  # the refused ones hold no place
        with pytest.raises(PriceUnknown):
            await run.limits.cover(ctx, run.context(model="unpriced").model)  # type: ignore[arg-type] # it is known
        run.end(ctx)


async def test_a_key_without_a_budget_may_use_an_unpriced_model_and_others_where_that_is_allowed() -> None:
    async with running(limits(tokens_per_minute=10_000)) as run:
        ctx = await run.enter(model="unpriced")
        run.end(ctx)
        assert (ctx.cost, run.parts.usage.events[-1].cost_usd, run.parts.usage.events[-1].price_source) == (
            None,
            None,
            None,
        )
    async with running(limits(budget_per_month_usd=5), unpriced_models="allow") as run:
        ctx = await run.enter(model="unpriced")
        (lease,) = ctx.reservation.draws.money  # type: ignore[union-attr] # it was let in
        run.end(ctx)
        assert lease.used == 0


async def test_several_choices_are_reserved_for_all() -> None:
    async with running(limits(budget_per_day_usd=1)) as run:
        one, three = await run.enter(), await run.enter(n=3)
        assert one.reservation is not None
        assert three.reservation is not None
        assert three.reservation.money - one.reservation.money > 2 * 100 * 2000


async def test_a_journal_that_refuses_does_not_keep_the_reservation() -> None:
    async with running(limits(budget_per_day_usd=0.001)) as run:
        ctx = await run.enter()
        assert ctx.reservation is not None
        (lease,) = ctx.reservation.draws.money
        run.parts.usage.failing = DependencyUnavailable("The disk is full.")
        with pytest.raises(DependencyUnavailable):
            run.end(ctx)
        assert lease.used == 20_000


async def test_a_request_that_is_dearer_than_the_whole_budget_is_not_told_what_is_left() -> None:
    async with running(limits(budget_per_day_usd=0.0001)) as run:
        with pytest.raises(QuotaUsedUp, match=r"\$0.0001 a day \(UTC\)\. This request may cost \$[0-9.]+\. Lower"):
            await run.enter(max_tokens=3000)


async def test_a_used_up_budget_names_level_limit_and_what_is_left() -> None:
    async with running(limits("team", budget_per_month_usd=0.0001)) as run:
        error = await refusal(run)
        assert isinstance(error, QuotaUsedUp)
        assert (error.status, error.type, error.error_code) == (429, "insufficient_quota", "insufficient_quota")
        assert error.message.startswith("The team of this API key may spend $0.0001 a month (UTC).")
        assert dict(error.headers)[b"x-should-retry"] == b"false"


async def test_a_used_up_rate_says_when_to_come_again() -> None:
    async with running(limits(requests_per_minute=3, tokens_per_minute=100_000)) as run:
        for _ in range(3):
            run.end(await run.enter())
        ctx = run.context()
        with pytest.raises(LimitReached) as caught:
            await run.limits.enter(ctx)
        said = dict(decision_headers(ctx))
        assert (said[b"x-ratelimit-limit-requests"], said[b"x-ratelimit-remaining-requests"]) == (b"3", b"0")
        assert said[b"x-ratelimit-limit-tokens"] == b"100000"
        assert 1 <= int(dict(caught.value.headers)[b"retry-after"]) <= 60
        assert 1 <= int(said[b"x-ratelimit-reset-requests"].removesuffix(b"s")) <= 60


async def test_an_answer_tells_what_is_left_of_the_narrowest_level() -> None:
    team = limits("team", requests_per_minute=4)
    async with running(limits(requests_per_minute=100, tokens_per_minute=5_000), team) as run:
        ctx = await run.enter()
        reserved = dict(decision_headers(ctx))
        assert int(reserved[b"x-ratelimit-remaining-tokens"]) == 5_000 - len(ctx.raw) - 100
        run.end(ctx, prompt=10, completion=5)
        said = dict(decision_headers(ctx))
        assert (said[b"x-ratelimit-limit-requests"], said[b"x-ratelimit-remaining-requests"]) == (b"4", b"3")
        assert (said[b"x-ratelimit-limit-tokens"], said[b"x-ratelimit-remaining-tokens"]) == (b"5000", b"4985")
        assert ctx.rates is not None
        assert ctx.rates.lines() == b"".join(
            b"%b: %b\r\n" % pair for pair in ctx.rates.headers()
        )  # both ways of answering say the same


async def test_only_keys_with_limits_of_a_minute_are_told() -> None:
    async with running(limits(budget_per_day_usd=1, max_concurrent=5)) as run:
        ctx = await run.enter()
        assert not [name for name, _ in decision_headers(ctx) if name.startswith(b"x-ratelimit")]
        assert ctx.rates is None


async def test_what_other_gateways_took_is_missed_within_a_moment() -> None:
    bank, limit = Bank(), limits(requests_per_minute=1000)
    async with running(limit, bank=bank, life="a") as one, running(limit, bank=bank, life="b") as other:
        one.end(await one.enter())
        for _ in range(500):
            other.end(await other.enter())

        async def left() -> int:
            ctx = await one.enter()
            one.end(ctx)
            return int(dict(decision_headers(ctx))[b"x-ratelimit-remaining-requests"])

        # Below 500 once what the other one spent is known; it may still hold some idle, which the store counts as its own.
        async with asyncio.timeout(60):
            while not await left() < 500:
                await asyncio.sleep(0.1)


async def test_tokens_that_were_not_used_can_be_used_by_the_next() -> None:
    async with running(limits(tokens_per_minute=300)) as run:
        for _ in range(5):
            run.end(await run.enter())
        error = await refusal(run, max_tokens=4000)
        assert "may use" in error.message
        assert "300 a minute" in error.message
        unbounded = await run.enter(max_tokens=None)  # it gets all that the minute has, as soon as nothing else has it
        assert unbounded.reservation is not None


async def test_counting_tokens_is_a_request_that_costs_nothing() -> None:
    async with running(limits(requests_per_minute=9, tokens_per_minute=1, budget_per_day_usd=0)) as run:
        ctx = run.context(COUNT_TOKENS)
        await run.limits.enter(ctx)
        assert ctx.reservation is not None
        assert (ctx.reservation.tokens, ctx.reservation.money) == (0, 0)


async def test_another_model_is_covered_before_it_is_asked() -> None:
    async with running(limits(budget_per_day_usd=0.05)) as run:
        ctx = await run.enter()
        heads = read_heads([(b"authorization", b"Bearer sk-test")])
        dear = run.plane.open(heads).table.models["dear"]
        assert ctx.reservation is not None
        before = ctx.reservation.money
        await run.limits.cover(ctx, dear)
        assert ctx.reservation.money == before * 100
        with pytest.raises(QuotaUsedUp):
            await run.limits.cover(await run.enter(), dear)


async def test_places_go_to_those_who_wait_in_the_order_in_which_they_came() -> None:
    async with running(limits(max_concurrent=1)) as run:
        first = await run.enter()
        order: list[int] = []

        async def wait(number: int) -> None:
            ctx = await run.enter()
            order.append(number)
            await asyncio.sleep(0)
            run.end(ctx)

        waiting = [asyncio.create_task(wait(number)) for number in range(4)]
        await asyncio.sleep(0.1)
        assert order == []
        run.end(first)
        await asyncio.gather(*waiting)
        assert order == [0, 1, 2, 3]


async def test_the_queue_for_a_place_is_bounded_in_length_and_time() -> None:
    async with running(limits(max_concurrent=1), limit_queue=1, limit_queue_wait_s=1.0) as run:
        await run.enter()
        waiting = asyncio.create_task(refusal(run))
        await asyncio.sleep(0.05)
        full = await refusal(run)
        assert (full.error_code, "1 more wait already" in full.message) == ("concurrency_limit_exceeded", True)
        late = await waiting
        assert (late.error_code, "within 1 s" in late.message) == ("concurrency_limit_exceeded", True)


async def test_a_client_that_leaves_the_queue_takes_no_place() -> None:
    async with running(limits("team", max_concurrent=1), limits(max_concurrent=1)) as run:
        first = await run.enter()
        ctx = run.context()
        waiting = asyncio.create_task(run.limits.enter(ctx))
        async with asyncio.timeout(60):
            while ctx.waits_for is None:
                await asyncio.sleep(0.01)
        ctx.gone = True
        ctx.waits_for.cancel()
        with pytest.raises(Gone):
            await waiting
        run.end(first)
        run.end(await run.enter())
        assert all(lease.used == 0 for lease in run.plane.leases._leases.values())


async def test_places_are_shared_by_processes_that_both_wait() -> None:
    bank = Bank()
    async with (
        running(limits(max_concurrent=4), bank=bank) as a,
        running(limits(max_concurrent=4), bank=bank, life="b") as b,
    ):
        held = [await a.enter() for _ in range(4)]
        served: list[str] = []

        async def wait(run: Run, name: str) -> None:
            ctx = await run.enter()
            served.append(name)
            await asyncio.sleep(0.02)
            run.end(ctx)

        waiting = [asyncio.create_task(wait(run, name)) for run, name in ((a, "a"), (b, "b")) for _ in range(12)]
        await asyncio.sleep(0.2)
        for ctx in held:
            a.end(ctx)
        async with asyncio.timeout(60):
            await asyncio.gather(*waiting)
        assert "b" in served[:12]


async def test_while_the_store_is_away_nothing_is_opened_and_all_answers_say_so() -> None:
    async with running(limits(requests_per_minute=10_000)) as run:
        run.end(await run.enter())
        run.store.away = True
        served = 0
        while True:
            ctx = run.context()
            try:
                await run.limits.enter(ctx)
            except ApiError as exc:
                error = exc
                break
            served += 1
        assert 0 < served < 10_000
        assert ctx.degraded
        assert isinstance(error, LimitReached)
        text = "\n".join(str(metric.samples) for metric in run.parts.registry.registry.collect())
        assert "sluice_gateway_limits_degraded" in text
        run.store.away = False
        back = None
        async with asyncio.timeout(60):
            while back is None or back.degraded:
                await asyncio.sleep(0.1)
                with suppress(LimitReached):
                    back = await run.enter()


async def test_without_a_lease_and_without_the_store_a_limited_key_is_refused() -> None:
    for kind in ("requests_per_minute", "max_concurrent", "budget_per_day_usd"):
        async with running(limits(**{kind: 100}), limit_queue_wait_s=0.1) as run:
            run.store.away = True
            error = await refusal(run)
            assert isinstance(error, Unavailable)
            assert error.error_code == "limits_unavailable"


async def test_without_the_store_nobody_waits_for_places_of_which_this_process_has_none() -> None:
    bank, limit = Bank(), limits(max_concurrent=10)
    async with running(limit, bank=bank, life="a") as run, running(limit, bank=bank, life="b") as other:
        for one in (run, other, run):
            one.end(await one.enter())
        (lease,) = run.limits._gate(run.context().key, run.context().at).draws.slots
        async with asyncio.timeout(60):
            while lease.granted:  # it gives back what it does not use
                await asyncio.sleep(0.05)
        run.store.away = True
        async with asyncio.timeout(60):
            while not run.plane.leases.degraded:
                await asyncio.sleep(0.05)
        began = asyncio.get_running_loop().time()
        error = await refusal(run)
        assert error.error_code == "limits_unavailable"
        assert asyncio.get_running_loop().time() - began < 5, "nobody waits for what cannot come"


async def test_what_a_store_that_starts_anew_has_lost_is_told_again() -> None:
    bank = Bank()
    async with running(limits(budget_per_day_usd=1), bank=bank) as run:
        ctx = await run.enter()
        assert ctx.reservation is not None
        (lease,) = ctx.reservation.draws.money
        bank.counters.clear()
        bank.run += 1
        async with asyncio.timeout(60):
            while "a" not in bank.counters.get(lease.name, {}):
                await asyncio.sleep(0.1)
        assert bank.counters[lease.name]["a"][0] == lease.granted


async def test_at_the_end_everything_idle_is_given_back() -> None:
    bank = Bank()
    async with running(limits(requests_per_minute=100, budget_per_day_usd=1), bank=bank) as run:
        run.end(await run.enter())
        assert await run.plane.leases.finish()
        assert {fields["a"] for fields in bank.counters.values()} == {(1, 0), (20_000, 0)}


def test_dollars_are_written_without_needless_zeros() -> None:
    assert [dollars(n) for n in (0, 10**9, 1_500_000_000, 123)] == ["0.00", "1.00", "1.50", "0.000000123"]


async def test_many_keys_of_one_minute_are_not_looked_at_for_each_new_one() -> None:
    limits = Run(Bank(), "one").limits
    for number in range(50_001):
        limits._gate(KeyRecord(f"key_{number}", "tenant-a", "test"), 0.0)
    swept = limits._gates
    for number in range(50_001, 50_100):
        limits._gate(KeyRecord(f"key_{number}", "tenant-a", "test"), 0.0)
    assert limits._gates is swept
    for number in range(50_100, 100_010):
        limits._gate(KeyRecord(f"key_{number}", "tenant-a", "test"), 60.0)
    assert len(limits._gates) < 50_000, "those of the minute before are gone"
