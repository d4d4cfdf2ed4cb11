"""Keeps this process's leases filled: one loop that asks the store for all of them at once, beside the requests."""

import asyncio
import logging
from collections.abc import Callable
from itertools import islice
from weakref import WeakValueDictionary

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.budget_reader import BudgetReader
from sluice_gateway.domain.leases import BUDGETS, RATES, Ask, CounterName, Kind, Lease, window_at
from sluice_gateway.domain.limits import Level
from sluice_gateway.domain.ports import Exchange, LeaseStore
from sluice_gateway.metrics import GatewayMetrics

_log = logging.getLogger(__name__)
_TICK_S = 0.5
_QUEUE_TICK_S = 0.05
_ASK_WITHIN_S = 1.0
_QUIET_TICKS = 120
_MOST_ASKED = 500  # counters in one question, for which the store does nothing else meanwhile
_MINUTE_S = 60


class LeaseKeeper:
    """Asks for what requests wait for as soon as they do, and twice a second tells the store of what lies idle.

    There is one question to the store at a time; what comes in between goes into the next one. `degraded` says that the store did
    not answer the last one: leases then last as long as they last.
    """

    def __init__(self, store: LeaseStore, clock: Clock, metrics: GatewayMetrics) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._leases: WeakValueDictionary[CounterName, Lease] = WeakValueDictionary()
        self._active: dict[Lease, int] = {}  # how many ticks ago each was used
        self._needs: dict[Lease, list[int]] = {}
        self._round: asyncio.Future[None] | None = None
        self._queued: set[Lease] = set()
        self._eased: set[Lease] = set()
        self._contended: set[Lease] = set()
        self._reader = BudgetReader(store)
        self._untold: dict[Lease, None] = {}  # of which the store is to hear, though nobody waits for them
        self._wake = asyncio.Event()
        self._run = ""
        self._ticked = 0.0
        self._contact_minute = int(clock.now() // _MINUTE_S)
        self.on_loss: Callable[[], None] | None = None  # called when the store was started anew, or emptied
        self.lives = 1
        self.degraded = False
        self.settling = False
        metrics.limits_degraded.set_function(lambda: float(self.degraded))

    def lease(self, level: Level, holder: str, kind: Kind, limit: int, at: float) -> Lease:
        """Return the lease of a counter in the window of `at`; a changed limit holds from now on."""
        window = window_at(kind, at)
        name = CounterName(level, holder, kind, window.number)
        found = self._leases.get(name)
        if found is None:
            found = self._leases[name] = Lease(name, limit, window.ends, self)
            if kind in RATES:
                before = self._leases.get(name._replace(window=window.number - 1))
                if before is not None:
                    found.follows(before)
                if self.degraded:
                    found.grant_share(self._contact_minute)
        found.limited_to(limit)
        self._active[found] = 0
        return found

    async def refill(self, wanted: list[tuple[Lease, int]]) -> None:
        """Wait until the store was asked for these amounts, whatever it says."""
        for lease, amount in wanted:
            self._needs.setdefault(lease, []).append(amount)
        if self._round is None:
            self._round = self._loop.create_future()
        self._wake.set()
        await asyncio.shield(self._round)

    def watch(self, lease: Lease) -> None:
        """Look after the queue of a lease from now on, until it is empty."""
        self._queued.add(lease)
        self._wake.set()

    def dry(self, lease: Lease, amount: int) -> None:
        """Ask for more of a lease that runs low: with the next tick if its first half has lasted for one, else now."""
        if not self.degraded:
            self._needs.setdefault(lease, []).append(0)
            lease.amount = amount
            if self._loop.time() - lease.asked_at < _TICK_S:
                self._wake.set()

    def eased(self, lease: Lease) -> None:
        """Give back what is not needed of a counter of which little is left."""
        self._eased.add(lease)
        self._wake.set()

    @property
    def alone(self) -> bool:
        """Whether no other process is known to use the same counters."""
        return self.lives == 1

    def part_of(self, lease: Lease) -> int:
        """Return this process's part of a limit when all processes want it."""
        return max(1, lease.limit // self.lives)

    def give_back(self) -> None:
        """Give back now what others wait for."""
        self._wake.set()

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._go_round()

    async def finish(self) -> bool:
        """Give back everything that is idle, for the end of the process; True when the store has taken it."""
        self._reader.stop()
        for lease in self._leases.values():
            if lease.held > 0:
                lease.give_up(lease.held)
        untold: dict[Lease, list[int]] = {lease: [] for lease in self._leases.values() if lease.granted != lease.sent}
        if untold:
            await self._ask(untold)
        return not self.degraded

    def _pause(self) -> float:
        return _QUEUE_TICK_S if self._queued and not self.degraded else _TICK_S

    async def _go_round(self) -> None:
        needs, waiting = self._needs, self._round
        self._needs, self._round = {}, None
        try:
            now = self._loop.time()
            if not self.degraded:
                for lease in self._contended | self._eased:
                    self._share_out(lease, needs)
                self._eased = set()
            self._queued = {lease for lease in self._queued if lease.queue}
            for lease in self._queued:
                most = max(0, self.part_of(lease) - lease.granted) if lease.contended else len(lease.queue)
                needs.setdefault(lease, []).extend([1] * min(most, len(lease.queue)))
            for lease in [lease for lease in needs if lease.name in self._reader]:  # it gives nothing before it is read
                self._reader.read(lease.name, urgent=any(needs.pop(lease)))
            if needs:  # one call for those that would ask soon as well
                low = (lease for lease in self._active if lease not in needs and lease.runs_low())
                needs.update({lease: [0] for lease in islice(low, max(0, _MOST_ASKED - len(needs)))})
            if now - self._ticked >= _TICK_S - _QUEUE_TICK_S:
                self._ticked = now
                self._tick(needs)
            for lease in list(islice(self._untold, max(0, _MOST_ASKED - len(needs)))):
                del self._untold[lease]
                needs.setdefault(lease, [])
            if self._untold:  # in the next question, since what is needed by then goes before it
                self._wake.set()
            await self._ask(needs)
        finally:
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    def _tick(self, needs: dict[Lease, list[int]]) -> None:
        wall = self._clock.now()
        for lease in list(self._leases.values()):
            over = lease.ends + _MINUTE_S < wall
            if lease not in needs and not self.degraded and self._has_news(lease) and not over:
                self._untold[lease] = None
            quiet = self._active.get(lease)
            if quiet is None:
                continue
            idle = lease.held == 0 and not lease.queue and lease.granted == lease.sent
            if over or (idle and quiet >= _QUIET_TICKS):
                del self._active[lease]  # it goes, unless a request that is under way still has it
            else:
                self._active[lease] = quiet + 1

    def _has_news(self, lease: Lease) -> bool:
        # Something to tell; or, of what is in use here and maybe elsewhere, to hear: how much is left, and whether others need it.
        news = lease.settle_down() or lease.sent is None
        return news or (self.lives > 1 and lease.calm == 0 and lease.name.kind != "concurrent")

    def _share_out(self, lease: Lease, needs: dict[Lease, list[int]]) -> None:
        # Others wait, or may soon: what is free here goes to them; of places, as far as this process has more than its part.
        surplus = lease.held
        if lease.name.kind == "concurrent":
            surplus = min(surplus, lease.granted - self.part_of(lease))
        if surplus > 0:
            lease.give_up(surplus)
            needs.setdefault(lease, [])

    async def _ask(self, needs: dict[Lease, list[int]]) -> None:
        leases = list(needs)
        for at in range(0, max(1, len(leases)), _MOST_ASKED):
            part = {lease: lease.asking(needs[lease], self._loop.time()) for lease in leases[at : at + _MOST_ASKED]}
            if not await self._ask_part(part):
                return

    async def _ask_part(self, asks: dict[Lease, Ask]) -> bool:
        told = {lease: ask.mine or 0 for lease, ask in asks.items()}
        try:
            async with asyncio.timeout(_ASK_WITHIN_S):
                answer = await self._store.exchange(tuple(asks.values()))
        except (DependencyUnavailable, TimeoutError) as exc:
            self._lost(exc)
            return False
        self._found(answer)
        for lease, grant in zip(asks, answer.grants, strict=True):
            lease.answered(told[lease], grant)
            (self._contended.add if lease.contended else self._contended.discard)(lease)
            if not grant.seeded and lease.name.kind in BUDGETS:
                self._reader.read(lease.name, urgent=asks[lease].need > 0)
            if lease.on_release is not None and lease.free > 0:
                lease.on_release(lease)
        return True

    def _lost(self, reason: Exception) -> None:
        self._metrics.lease_rounds.labels("failed").inc()
        if not self.degraded:
            _log.error("limits cannot be shared with other gateways (%s); this one keeps to what it holds", reason)
        self.degraded = True

    def _found(self, answer: Exchange) -> None:
        self._metrics.lease_rounds.labels("answered").inc()
        if self.degraded:
            _log.warning("limits are shared with other gateways again")
        anew = self._run not in ("", answer.run)
        if anew and self.on_loss is not None:
            self.on_loss()
        if anew or self.degraded:  # what the store has lost is told again, in the next round
            for lease in self._leases.values():
                lease.sent = None
            self._ticked = 0.0
            self._wake.set()
        self._run, self.lives, self.settling = answer.run, answer.lives, answer.settling
        self.degraded = False
        self._contact_minute = int(self._clock.now() // _MINUTE_S)
