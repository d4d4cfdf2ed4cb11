"""Lets requests of batches out one by one: never more than allowed, fewer when refused, none while a model is busy."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sluice.clock import Clock
from sluice_gateway.domain.batch_pace import Pace
from sluice_gateway.domain.batches import OnBehalf

_LOOK_S = 0.5
_KEPT = 1024


class Stop:
    """Tells the lanes of one batch that they shall end, and why.

    The first reason counts, unless it was only that others wait for their turn; that the batch is lost always counts.
    """

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self.why: str | None = None

    def tell(self, why: str) -> None:
        """Say that the batch shall end its work here."""
        if self.why in (None, "turn") or why == "lost":
            self.why = why
            self._told.set()

    async def told(self) -> None:
        """Wait until the lanes shall end."""
        await self._told.wait()

    async def wait(self, seconds: float) -> bool:
        """Wait so long at most; True when the lanes shall end."""
        if seconds > 0 and self.why is None:
            try:
                async with asyncio.timeout(seconds):
                    await self._told.wait()
            except TimeoutError:
                return False
        return self.why is not None


@dataclass(slots=True)
class _Way:
    pace: Pace
    under_way: int = 0


@dataclass(slots=True)
class Gate:
    """All batches of this worker go through it: `most_in_all` requests at once, `most` of one key for one model.

    `busy` tells what share of a model's capacity is in use; from `busy_share` on no batch adds to it, so that what people wait
    for finds room. What is not known counts as idle: then refusals (429, 503) are what slows a batch down.
    """

    clock: Clock
    busy: Callable[[str], Awaitable[float]]
    busy_share: float
    most: int
    most_in_all: int
    under_way: int = 0
    _ways: dict[tuple[OnBehalf, str], _Way] = field(default_factory=dict)
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def passing(self, who: OnBehalf, model: str, stop: Stop) -> AsyncIterator[Pace | None]:
        """Wait for room and hold it for the length of the block; None when the lanes were told to end instead."""
        way = self._way(who, model)
        while not await self._has_room(way, model):
            self._left.clear()
            if await self._rest(stop):
                yield None
                return
        way.under_way += 1
        self.under_way += 1
        try:
            yield way.pace
        finally:
            way.under_way -= 1
            self.under_way -= 1
            self._left.set()

    def under_way_of(self, who: OnBehalf) -> int:
        """Return how many requests of a key are under way, whatever the model."""
        return sum(way.under_way for (key, _), way in self._ways.items() if key == who)

    async def _has_room(self, way: _Way, model: str) -> bool:
        if self.under_way >= self.most_in_all or not way.pace.allows(way.under_way, self.clock.monotonic()):
            return False
        if await self.busy(model) >= self.busy_share:
            return False
        # Others may have passed while the load was asked for.
        return self.under_way < self.most_in_all and way.pace.allows(way.under_way, self.clock.monotonic())

    async def _rest(self, stop: Stop) -> bool:
        left = asyncio.ensure_future(self._left.wait())
        told = asyncio.ensure_future(stop.wait(_LOOK_S))
        try:
            await asyncio.wait((left, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            told.cancel()
            await asyncio.gather(left, told, return_exceptions=True)
        return stop.why is not None

    def _way(self, who: OnBehalf, model: str) -> _Way:
        found = self._ways.get((who, model))
        if found is None:
            if len(self._ways) >= _KEPT:
                self._ways = {name: way for name, way in self._ways.items() if way.under_way}
            found = self._ways[who, model] = _Way(Pace.starting(self.most))
        return found
