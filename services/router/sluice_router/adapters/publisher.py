"""Publishes the routing snapshot to Redis."""

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.clock import Clock
from sluice.contracts.routing import SNAPSHOT_KEY, RoutingSnapshot
from sluice.queues import ROUTING_CHANGED, RoutingChanged, publish
from sluice.redis import REDIS_DOWN
from sluice_router.domain.config import same_content

_log = logging.getLogger(__name__)


class Publisher:
    """Keeps the newest snapshot and brings it to Redis.

    Versions are milliseconds of unix time, or one more than the last: they grow over restarts and over a Redis that lost
    its data. Degraded mode: while Redis is away the snapshot is held, gateways read it over HTTP, and it is
    published when Redis is back.
    """

    def __init__(
        self, redis: Redis, clock: Clock, build: Callable[[int, float], RoutingSnapshot], counted: Callable[[str], None]
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._build = build
        self._counted = counted
        self._published = 0
        self.current = build(int(clock.now() * 1000), clock.now())

    async def refresh(self) -> None:
        """Make the snapshot anew and publish it if its content changed."""
        now = self._clock.now()
        fresh = self._build(max(self.current.version + 1, int(now * 1000)), now)
        if not same_content(fresh, self.current):
            self.current = fresh
        await self._bring()

    async def keep(self, every_s: float) -> None:
        """Publish again whenever Redis does not hold the current snapshot, until cancelled."""
        while True:
            await self._bring()
            await asyncio.sleep(every_s)

    async def _bring(self) -> None:
        snapshot = self.current
        try:
            if self._published == snapshot.version and await self._redis.exists(SNAPSHOT_KEY):
                return
            await self._redis.set(SNAPSHOT_KEY, snapshot.model_dump_json())
            await publish(self._redis, ROUTING_CHANGED, RoutingChanged(version=snapshot.version))
        except (RedisError, *REDIS_DOWN) as exc:
            self._counted("failed")
            _log.warning("the routing snapshot could not be published (%s); trying again", type(exc).__name__)
            return
        self._published = snapshot.version
        self._counted("ok")
        _log.info("published routing snapshot %d", snapshot.version)
