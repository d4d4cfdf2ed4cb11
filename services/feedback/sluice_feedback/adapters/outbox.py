"""Brings stored events to their Redis stream."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.errors import DependencyUnavailable
from sluice.queues import FEEDBACK, append
from sluice.redis import REDIS_DOWN
from sluice_feedback.domain.events import WaitingEvent
from sluice_feedback.metrics import FeedbackMetrics

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_REDIS_TIMEOUT_S = 10.0


class Outbox(Protocol):
    """Where events wait; raises DependencyUnavailable while it is away."""

    async def waiting(self, limit: int) -> list[WaitingEvent]:
        """Return the oldest events."""
        ...

    async def count(self) -> int:
        """Return how many wait."""
        ...

    async def published(self, events: Sequence[WaitingEvent]) -> None:
        """Forget events that are on their stream."""
        ...


@dataclass(slots=True)
class OutboxPublisher:
    """Publishes waiting events in order, at least once: an event is forgotten only after Redis took it.

    Degraded mode: while Redis or the database is away events wait in the outbox; nothing that was acknowledged is lost.
    """

    outbox: Outbox
    redis: Redis
    metrics: FeedbackMetrics
    poll_s: float
    batch: int
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def nudge(self) -> None:
        """Say that an event was stored, so that it need not wait for the next look."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                await self.drain()
            except (DependencyUnavailable, RedisError, *REDIS_DOWN) as exc:
                self.metrics.publish_failures.inc()
                _log.warning("events wait in the outbox (%s); trying again in %.1f s", type(exc).__name__, pause)
                await self._look_how_many()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            pause = _FIRST_PAUSE_S
            await self._rest()

    async def drain(self) -> None:
        """Publish all that wait now."""
        while True:
            self._wake.clear()
            events = await self.outbox.waiting(self.batch)
            if not events:
                self.metrics.waiting.set(0)
                return
            async with asyncio.timeout(_REDIS_TIMEOUT_S):
                await append(self.redis, FEEDBACK, [waiting.event for waiting in events])
            await self.outbox.published(events)
            self.metrics.published.inc(len(events))

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self.poll_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _look_how_many(self) -> None:
        try:
            self.metrics.waiting.set(await self.outbox.count())
        except DependencyUnavailable:
            return
