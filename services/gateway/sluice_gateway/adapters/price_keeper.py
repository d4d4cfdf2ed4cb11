"""Keeps the prices that administrators set up to date, and puts them into the routing snapshot."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.clock import Clock
from sluice.contracts.routing import RoutingSnapshot
from sluice.errors import DependencyUnavailable
from sluice.queues import PRICES_CHANGED, PricesChanged, publish, subscribe
from sluice_gateway.domain.prices import StoredPrice, next_turn, with_overrides

_log = logging.getLogger(__name__)
_SHORTEST_S = 0.05


class PriceSource(Protocol):
    """Where prices are read from; raises DependencyUnavailable while it is away."""

    async def all(self) -> tuple[StoredPrice, ...]:
        """Return every price that is not deleted."""
        ...

    async def mark(self) -> tuple[int, int]:
        """Return what changes whenever any price does."""
        ...


class PriceKeeper:
    """Hands each snapshot on with the prices that hold now, and again when one begins to hold, is set or is deleted.

    Degraded mode: while the database is away the prices that were last read hold; while Redis is away a change made in another
    process is noticed at the next look at the database.
    """

    def __init__(
        self,
        source: PriceSource,
        redis: Redis,
        clock: Clock,
        use: Callable[[RoutingSnapshot], None],
        *,
        reload_s: float,
    ) -> None:
        self._source = source
        self._redis = redis
        self._clock = clock
        self._use = use
        self._reload_s = reload_s
        self._snapshot: RoutingSnapshot | None = None
        self._mark: tuple[int, int] | None = None
        self._read = asyncio.Event()
        self.overrides: tuple[StoredPrice, ...] = ()

    def use(self, snapshot: RoutingSnapshot) -> None:
        """Put a snapshot of the router in force."""
        self._snapshot = snapshot
        self._use(with_overrides(snapshot, self.overrides, self._clock.now()))

    async def load(self) -> None:
        """Read the prices if any changed; without the database they stay as they are."""
        try:
            mark = await self._source.mark()
            if mark != self._mark:
                self.overrides = await self._source.all()
                self._mark = mark
                self._read.set()
                self._again()
        except DependencyUnavailable as exc:
            _log.warning("prices cannot be read (%s); %d stay in use", exc.detail, len(self.overrides))

    async def follow(self) -> None:
        """Read again whenever a change is announced, until cancelled."""
        async for _ in subscribe(self._redis, PRICES_CHANGED, on_connect=self.load):
            await self.load()

    async def look(self) -> None:
        """Look for changes now and then, and for prices that begin to hold, until cancelled."""
        while True:
            now = self._clock.now()
            turn = next_turn(self.overrides, now)
            pause = self._reload_s if turn is None else min(self._reload_s, max(_SHORTEST_S, turn - now))
            self._read.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._read.wait()  # other prices may begin to hold sooner
            except TimeoutError:
                if turn is not None and turn <= self._clock.now():
                    self._again()
                else:
                    await self.load()

    async def changed(self) -> None:
        """Take over a change made in this process, and announce it to the others."""
        await self.load()
        try:
            await publish(self._redis, PRICES_CHANGED, PricesChanged())
        except (RedisError, OSError) as exc:
            _log.warning(
                "a changed price cannot be announced (%s); other gateways notice it within %.0f s",
                type(exc).__name__,
                self._reload_s,
            )

    def _again(self) -> None:
        if self._snapshot is not None:
            self.use(self._snapshot)
