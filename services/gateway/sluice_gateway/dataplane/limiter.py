"""Limits of organisations, teams and keys on the request path: what a request takes of them, and what it waits for.

A key without limits costs one comparison. With limits a request takes from leases in memory; only when one of them has too little it
waits, as a coroutine, while the keeper asks for more.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import orjson

from sluice.clock import Clock
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.errors import ApiError, Gone, LimitReached
from sluice_gateway.dataplane.lease_keeper import LeaseKeeper
from sluice_gateway.dataplane.limit_refusals import price_unknown, queue_full, refused, too_many, unknown
from sluice_gateway.dataplane.rate_headers import RateHeaders
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.dataplane.worst_case import NOTHING, UNKNOWN, WorstCase, worst_case
from sluice_gateway.domain.leases import RATES, Draws, Lease, Reservation, lacking, nano_dollars, reserve, take
from sluice_gateway.domain.limits import LevelLimits
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.metrics import GatewayMetrics

_PATIENCE_S = 1.5
_AGAIN_S = 0.05
_MAX_GATES = 50_000
_UNAVAILABLE = 503
Unpriced = Literal[
    "refuse", "allow"
]  # what happens to a request of a key with a budget to a model without a known price


class Queueing(NamedTuple):
    """How many requests may wait for a place at each level, and how long."""

    longest: int
    wait_s: float


class _Gate(NamedTuple):
    limits: tuple[LevelLimits, ...]
    draws: Draws
    priced: bool
    rates: RateHeaders | None  # None without limits of a minute


class Limiter:
    """Reserves before a request goes out, for the dearest end that it can come to; `record` settles."""

    def __init__(
        self,
        keeper: LeaseKeeper,
        clock: Clock,
        metrics: GatewayMetrics,
        queueing: Queueing,
        unpriced: Unpriced = "refuse",
    ) -> None:
        self._keeper = keeper
        self._clock = clock
        self._metrics = metrics
        self._queueing = queueing
        self._refuse_unpriced = unpriced == "refuse"
        self._gates: dict[str, _Gate] = {}
        self._sweep_above = _MAX_GATES
        self._waiting = 0
        metrics.limit_queue.set_function(lambda: float(self._waiting))

    def admit(self, ctx: RequestContext, worst: WorstCase | None = None) -> bool:
        """Reserve all that a request may need (`worst`, if that is known), if the leases have it; False says that it has to wait for that."""
        gate = self._gate(ctx.key, ctx.at)
        ctx.rates = gate.rates
        if gate.priced and self._is_unaffordable(ctx.model, gate.draws):
            return False
        if worst is None:
            worst = _worst(ctx, ctx.model, gate.draws) if gate.priced else NOTHING
        found = ctx.reservation = reserve(gate.draws, worst.tokens, worst.money)
        ctx.degraded = self._keeper.degraded
        return found is not None

    async def enter(self, ctx: RequestContext) -> None:
        """Reserve as `admit` does, and wait for what is missing: in a queue for a place, or while the keeper asks for more.

        Raises:
            LimitReached, QuotaUsedUp, Unavailable: there is no more.
            PriceUnknown: there is a budget, and nobody knows what the model costs.
            Gone: the client went away while it waited.
        """
        if self.admit(ctx):
            return
        draws = self._gate(ctx.key, ctx.at).draws
        self._check_price(ctx.model, draws)
        places: list[Lease] = []
        try:
            for lease in reversed(draws.slots):  # the narrowest level first
                await self._place(ctx, lease)
                places.append(lease)
            draws = self._draws_now(ctx.key)._replace(slots=draws.slots)
            worst = await self._obtain_all(ctx, draws)
        except BaseException:
            for lease in places:
                lease.free += 1
                self._released(lease)
            raise
        finally:
            ctx.degraded = self._keeper.degraded
        ctx.reservation = Reservation(draws, worst.tokens, worst.money)

    async def cover(self, ctx: RequestContext, entry: ModelEntry) -> None:
        """See to it that the reservation also covers this model, and a body that has grown since.

        Raises:
            LimitReached, QuotaUsedUp, Unavailable: there is too little for it.
            PriceUnknown: there is a budget, and nobody knows what the model costs.
        """
        reservation = ctx.reservation
        if reservation is None:
            return
        self._check_price(entry, reservation.draws)
        worst = _worst(ctx, entry, reservation.draws)
        tokens, money = max(0, worst.tokens - reservation.tokens), max(0, worst.money - reservation.money)
        if tokens or money:
            await self._obtain(reservation.draws, 0, tokens, money)
            reservation.tokens += tokens
            reservation.money += money

    def again(self, ctx: RequestContext, entry: ModelEntry) -> bool:
        """Reserve as much once more, for a second deployment, if it is at hand; tells whether it was."""
        reservation = ctx.reservation
        if reservation is None:
            return True
        worst = _worst(ctx, entry, reservation.draws)
        if lacking(reservation.draws, 0, worst.tokens, worst.money):
            return False
        take(reservation.draws, 0, worst.tokens, worst.money)
        reservation.tokens += worst.tokens
        reservation.money += worst.money
        return True

    def part(self, ctx: RequestContext, entry: ModelEntry, *, second: bool) -> Reservation | None:
        """Return what is reserved for a call to this model that outlives the request; None without limits.

        It comes out of the request's reservation where that holds a `second` one already (`again`), else on top of it, as far as there is
        room: the request itself goes on, and what the call comes to is charged in any case.
        """
        if ctx.reservation is None:
            return None
        worst = _worst(ctx, entry, ctx.reservation.draws)
        if second or self.again(ctx, entry):
            return ctx.reservation.part(worst.tokens, worst.money)
        return ctx.reservation.part(0, 0)

    def _is_unaffordable(self, model: ModelEntry | None, draws: Draws) -> bool:
        # A budget cannot hold for what costs nobody knows how much.
        return model is not None and not model.priced and bool(draws.money) and self._refuse_unpriced

    def _check_price(self, model: ModelEntry | None, draws: Draws) -> None:
        if self._is_unaffordable(model, draws):
            assert model is not None
            self._metrics.limit_refusals.labels(draws.money[-1].name.level, "price_unknown").inc()
            raise price_unknown(draws.money[-1], model.name)

    async def _place(self, ctx: RequestContext, lease: Lease) -> None:
        if lease.free >= 1:
            lease.free -= 1
            return
        if self._is_away(lease):
            raise self._counted(lease, unknown(lease))
        if len(lease.queue) >= self._queueing.longest:
            raise self._counted(lease, queue_full(lease, len(lease.queue)))
        place = ctx.waits_for = asyncio.get_running_loop().create_future()
        lease.queue.append(place)
        self._keeper.watch(lease)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._queueing.wait_s):
                await place
        except TimeoutError:
            if place.cancelled():
                error = unknown(lease) if self._is_away(lease) else too_many(lease, self._queueing.wait_s)
                raise self._counted(lease, error) from None
        except asyncio.CancelledError:
            if not place.cancelled() and place.done():
                lease.free += 1
                self._released(lease)
            if ctx.gone:
                raise Gone from None
            raise
        finally:
            self._waiting -= 1
            ctx.waits_for = None
            if place in lease.queue:
                lease.queue.remove(place)

    def _is_away(self, lease: Lease) -> bool:
        # Of places that are in use here some may become free; where there are none nobody can give any.
        return self._keeper.degraded and lease.granted <= 0

    def _released(self, lease: Lease) -> None:
        # To those who wait here, unless there are more places than the limit allows, or others wait and this process has more than its part.
        lease.give_up_excess()
        if lease.contended and lease.granted > self._keeper.part_of(lease):
            self._keeper.give_back()
            return
        queue = lease.queue
        while queue and lease.free >= 1:
            place = queue.popleft()
            if not place.done():
                lease.free -= 1
                place.set_result(None)

    async def _obtain_all(self, ctx: RequestContext, draws: Draws) -> WorstCase:
        worst = _worst(ctx, ctx.model, draws)
        try:
            await self._obtain(draws, 1, worst.tokens, worst.money)
        except LimitReached:
            # Without a bound of its own it takes what is left of the minute, and now it is known what that is.
            less = _worst(ctx, ctx.model, draws)
            if less.tokens >= worst.tokens:
                raise
            await self._obtain(draws, 1, less.tokens, less.money)
            return less
        return worst

    async def _obtain(self, draws: Draws, requests: int, tokens: int, money: int) -> None:
        loop, keeper = asyncio.get_running_loop(), self._keeper
        until = loop.time() + _PATIENCE_S
        while short := lacking(draws, requests, tokens, money):
            lease, amount = next((one for one in short if one[1] > one[0].limit), short[0])
            if amount > lease.limit:
                raise self._counted(lease, refused(lease, amount, self._clock.now()))
            if keeper.degraded:
                raise self._away(lease, amount)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await keeper.refill(short)
            short = lacking(draws, requests, tokens, money)
            if not short or keeper.degraded:
                continue
            hopeless = None if keeper.settling else next((one for one in short if _is_hopeless(*one)), None)
            late = loop.time() >= until
            if hopeless is not None or late:
                lease, amount = hopeless or short[0]
                if late and (keeper.settling or not lease.seeded):
                    raise self._counted(lease, unknown(lease))
                raise self._counted(lease, refused(lease, amount, self._clock.now()))
            await asyncio.sleep(_AGAIN_S)
        take(draws, requests, tokens, money)

    def _away(self, lease: Lease, amount: int) -> ApiError:
        # A share of a rate that is used up comes again with the next minute; what else is away may be back at any time.
        if lease.name.kind in RATES and lease.granted > 0:
            return self._counted(lease, refused(lease, amount, self._clock.now()))
        return self._counted(lease, unknown(lease))

    def _counted(self, lease: Lease, error: ApiError) -> ApiError:
        kind = "unavailable" if error.status == _UNAVAILABLE else lease.name.kind
        self._metrics.limit_refusals.labels(lease.name.level, kind).inc()
        return error

    def _gate(self, key: KeyRecord, at: float) -> _Gate:
        gate = self._gates.get(key.key_id)
        if gate is None or at >= gate.draws.until or (gate.limits is not key.limits and gate.limits != key.limits):
            gate = self._gates[key.key_id] = self._open(key, at)
            if len(self._gates) > self._sweep_above:
                self._gates = {name: one for name, one in self._gates.items() if at < one.draws.until}
                self._sweep_above = max(
                    _MAX_GATES, 2 * len(self._gates)
                )  # many keys of one minute are not looked at for each new one
        return gate

    def _draws_now(self, key: KeyRecord) -> Draws:
        # Of a request that has waited: what it knows of its key's limits may be older than what the gate has.
        gate, at = self._gates.get(key.key_id), self._clock.now()
        if gate is not None and at < gate.draws.until:
            return gate.draws
        return self._gate(key if gate is None else replace(key, limits=gate.limits), at).draws

    def _rates(self, key_id: str) -> RateHeaders | None:
        gate = self._gates.get(key_id)
        return None if gate is None else gate.rates

    def _open(self, key: KeyRecord, at: float) -> _Gate:
        lease = self._keeper.lease
        requests, tokens, slots, money = [], [], [], []
        for one in key.limits:
            level, holder = one.level, one.id
            if one.requests_per_minute is not None:
                requests.append(lease(level, holder, "requests", one.requests_per_minute, at))
            if one.tokens_per_minute is not None:
                tokens.append(lease(level, holder, "tokens", one.tokens_per_minute, at))
            if one.max_concurrent is not None:
                found = lease(level, holder, "concurrent", one.max_concurrent, at)
                found.on_release = self._released
                slots.append(found)
            if one.budget_per_day_usd is not None:
                money.append(lease(level, holder, "day", nano_dollars(one.budget_per_day_usd), at))
            if one.budget_per_month_usd is not None:
                money.append(lease(level, holder, "month", nano_dollars(one.budget_per_month_usd), at))
        units = (*requests, *slots)
        until = (int(at // 60) + 1) * 60.0
        most = min((found.limit for found in tokens), default=None)
        draws = Draws(until, units, tuple(requests), tuple(slots), tuple(tokens), tuple(money), most)
        rates = RateHeaders(draws, self._clock, partial(self._rates, key.key_id)) if requests or tokens else None
        return _Gate(key.limits, draws, draws.priced, rates)


def _worst(ctx: RequestContext, model: ModelEntry | None, draws: Draws) -> WorstCase:
    if model is None or not draws.priced or ctx.endpoint.counts:
        return NOTHING
    sampling = ctx.plan.sampling
    longest = None if sampling is None else sampling.max_tokens
    if ctx.body.untranslatable is not None:
        size, longest = UNKNOWN, None  # the bytes go on as they came, and what is in them is not known here
    elif ctx.form is not None:
        size = ctx.form.size
    else:
        size = len(orjson.dumps(ctx.fields)) if ctx.changed else len(ctx.raw)
    plain = ctx.body.plain and not ctx.changed
    worst = worst_case(model, ctx.endpoint.kind, ctx.fields, size, plain=plain, most=longest)
    most = draws.most_tokens
    if most is not None and worst.tokens > most and not worst.chosen and worst.prompt <= most:
        # Its answer may be longer than a minute allows, and nobody said so: it takes what is left of the minute.
        left = min((lease.remaining for lease in draws.tokens if lease.known), default=most)
        return worst._replace(tokens=max(worst.prompt, min(left, most)))
    return worst


def _is_hopeless(lease: Lease, amount: int) -> bool:
    # What is reserved, here or elsewhere, may turn out smaller in a moment.
    return lease.seeded and lease.open + lease.left + lease.elsewhere < amount
