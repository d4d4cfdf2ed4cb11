"""Keeps this process's leases filled: one loop that asks the store for all of them at once, beside the requests."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple
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
_LOOKS = 10
_QUIET_TICKS = 120
_MOST_ASKED = 500  # counters in one question, for which the store does nothing else meanwhile
_MINUTE_S = 60


class _Need(NamedTuple):
    """What a request waits for, and what it is woken by."""

    amount: int
    turn: asyncio.Future[None]


class LeaseKeeper:
    """Asks for what requests wait for as soon as they do, and twice a second tells the store of what lies idle.

    There is one question to the store at a time; what comes in between goes into the next one. Requests for which the store has nothing to
    say yet, because a budget is being read or the store was started anew, are asked for once more when it has, and not before: after a
    start of Redis that may be those of ten thousand budgets. `degraded` says that the store did
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
        self._waiting: dict[Lease, list[_Need]] = {}
        self._due: dict[Lease, None] = {}  # of those that requests wait for, which are to be asked for now
        self._queued: set[Lease] = set()
        self._eased: set[Lease] = set()
        self._contended: set[Lease] = set()
        self._reader = BudgetReader(store, self._was_read)
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
        """Wait until the store has said what it gives of these amounts, or is away."""
        needs = [(lease, _Need(amount, self._loop.create_future())) for lease, amount in wanted]
        for lease, need in needs:
            self._waiting.setdefault(lease, []).append(need)
            self._due[lease] = None
        self._wake.set()
        try:
            for _, need in needs:
                await need.turn
        finally:
            for _, need in needs:
                need.turn.cancel()  # it waits no more, and is not asked for

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
            await self._ask(untold, {})
        return not self.degraded

    def _pause(self) -> float:
        soon = self._queued or (self.settling and self._waiting)
        return _QUEUE_TICK_S if soon and not self.degraded else _TICK_S

    async def _go_round(self) -> None:
        turns = self._whose_turn()
        needs = {lease: [need.amount for need in waiting] for lease, waiting in turns.items()}
        for lease, amounts in self._needs.items():
            needs.setdefault(lease, []).extend(amounts)
        self._needs = {}
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
                del needs[lease]
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
            await self._ask(needs, turns)
        finally:
            _wake(*turns.values())

    def _whose_turn(self) -> dict[Lease, list[_Need]]:
        due, self._due = self._due, {}
        turns: dict[Lease, list[_Need]] = {}
        for lease in due:
            waiting = [need for need in self._waiting.pop(lease, ()) if not need.turn.done()]
            if not waiting:
                continue
            if lease.name in self._reader:
                self._reader.read(lease.name, urgent=True)
            elif lease.sent is None or not self.settling:  # one that settles gives nothing, but has to hear of all
                turns[lease] = waiting
                continue
            self._waiting[lease] = waiting
        return turns

    def _was_read(self, names: Iterable[CounterName]) -> None:
        for lease in [self._leases.get(name) for name in names]:
            if lease is not None and lease in self._waiting:
                self._due[lease] = None
        if self._due:
            self._wake.set()

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

    async def _ask(self, needs: dict[Lease, list[int]], turns: dict[Lease, list[_Need]]) -> None:
        leases = list(needs)
        for at in range(0, max(1, len(leases)), _MOST_ASKED):
            part = {lease: lease.asking(needs[lease], self._loop.time()) for lease in leases[at : at + _MOST_ASKED]}
            if not await self._ask_part(part, turns):
                return

    async def _ask_part(self, asks: dict[Lease, Ask], turns: dict[Lease, list[_Need]]) -> bool:
        told = {lease: ask.mine or 0 for lease, ask in asks.items()}
        try:
            answer = await self._answer(tuple(asks.values()))
        except (DependencyUnavailable, TimeoutError) as exc:
            self._lost(exc)
            return False
        self._found(answer)
        for lease, grant in zip(asks, answer.grants, strict=True):
            lease.answered(told[lease], grant)
            (self._contended.add if lease.contended else self._contended.discard)(lease)
            if not grant.seeded and lease.name.kind in BUDGETS:
                self._reader.read(lease.name, urgent=asks[lease].need > 0)
            waiting = turns.pop(lease, None)
            if waiting is not None and (self.settling or not grant.seeded):
                self._waiting[lease] = waiting + self._waiting.get(lease, [])
            elif waiting is not None:
                _wake(waiting)
            if lease.on_release is not None and lease.free > 0:
                lease.on_release(lease)
        return True

    async def _answer(self, asks: Sequence[Ask]) -> Exchange:
        # Not by one timer: where thousands of requests are refused at once the loop itself is late, and a timer that is due with the
        # answer goes before it. Redis would be away then for as long as they come again.
        asking = self._loop.create_task(self._store.exchange(asks))
        try:
            for _look in range(_LOOKS):
                done, _ = await asyncio.wait((asking,), timeout=_ASK_WITHIN_S / _LOOKS)
                if done:
                    return asking.result()
        finally:
            asking.cancel()
        raise TimeoutError

    def _lost(self, reason: Exception) -> None:
        self._metrics.lease_rounds.labels("failed").inc()
        if not self.degraded:
            _log.error("limits cannot be shared with other gateways (%s); this one keeps to what it holds", reason)
        self.degraded = True
        _wake(*self._waiting.values())
        self._waiting = {}

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
        if self.settling and not answer.settling:
            self._due |= dict.fromkeys(self._waiting)
            self._wake.set()
        self._run, self.lives, self.settling = answer.run, answer.lives, answer.settling
        self.degraded = False
        self._contact_minute = int(self._clock.now() // _MINUTE_S)


def _wake(*waiting: Iterable[_Need]) -> None:
    for needs in waiting:
        for need in needs:
            if not need.turn.done():
                need.turn.set_result(None)
