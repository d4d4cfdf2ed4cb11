"""Publishes the routing snapshot to Redis."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.clock import Clock
from sluice.contracts.routing import SNAPSHOT_KEY, RoutingSnapshot
from sluice.queues import ROUTING_CHANGED, RoutingChanged
from sluice.redis import REDIS_DOWN
from sluice_router.domain.publication import same_content

_log = logging.getLogger(__name__)
LEASE_KEY = "sluice:routing:publisher"
LEASE_MS = 10_000
_REDIS_TIMEOUT_S = 5.0

# Takes the lease if it is free or ours already; returns whether it is ours now.
_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class Notes:
    """Where the publisher says what happened: results of publications, whether it publishes (1 or 0), the version in force."""

    published: Callable[[str], None]
    leads: Callable[[int], None]
    version: Callable[[int], None]


class Publisher:
    """Keeps the newest snapshot, and brings it to Redis if this router is the one that publishes.

    Of several routers the one that holds a lease publishes, so that two that see the health of a deployment differently do
    not overwrite each other; when it ends or dies, another follows within ten seconds. Versions are milliseconds of
    unix time or one more than the last: they grow over restarts and over a Redis that lost its data. A snapshot whose content is
    published already is taken over with its version. Degraded mode: while Redis is away the snapshot is held,
    gateways read it over HTTP, and it is published when Redis is back.
    """

    def __init__(
        self, redis: Redis, name: str, clock: Clock, build: Callable[[int, float], RoutingSnapshot], notes: Notes
    ) -> None:
        self._redis = redis
        self._name = name
        self._clock = clock
        self._build = build
        self._notes = notes
        self._one_at_a_time = asyncio.Lock()
        self._stored: bytes | None = None  # what Redis held when it was last found to be `current`
        self.current = build(int(clock.now() * 1000), clock.now())
        notes.version(self.current.version)

    async def refresh(self) -> None:
        """Make the snapshot anew and publish it if its content changed."""
        async with self._one_at_a_time:
            now = self._clock.now()
            fresh = self._build(max(self.current.version + 1, int(now * 1000)), now)
            if not same_content(fresh, self.current):
                self._hold(fresh)
            await self._bring()

    async def keep(self, every_s: float) -> None:
        """Hold the lease, and publish whenever Redis does not hold the current snapshot, until cancelled."""
        while True:
            async with self._one_at_a_time:
                await self._bring()
            await asyncio.sleep(every_s)

    async def release(self) -> None:
        """Give the lease back, so that another router can follow at once."""
        try:
            async with asyncio.timeout(_REDIS_TIMEOUT_S):
                await self._redis.eval(_RELEASE, 1, LEASE_KEY, self._name)
        except (RedisError, *REDIS_DOWN) as exc:
            _log.info("the lease on publishing ends by itself (%s)", type(exc).__name__)

    def _hold(self, snapshot: RoutingSnapshot) -> None:
        self.current = snapshot
        self._stored = None
        self._notes.version(snapshot.version)

    async def _bring(self) -> None:
        try:
            async with asyncio.timeout(_REDIS_TIMEOUT_S):
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.eval(_TAKE, 1, LEASE_KEY, self._name, str(LEASE_MS))
                    pipe.get(SNAPSHOT_KEY)
                    leads, stored = await pipe.execute()
                self._notes.leads(int(leads))
                if leads and (stored is None or stored != self._stored):
                    await self._publish(stored)
        except (RedisError, *REDIS_DOWN) as exc:
            self._notes.published("failed")
            _log.warning("the routing snapshot could not be published (%s); trying again", type(exc).__name__)

    async def _publish(self, raw: bytes | None) -> None:
        stored = _parsed(raw)
        if stored is not None:
            if same_content(stored, self.current):
                self._hold(stored)
                self._stored = raw
                return
            if stored.version >= self.current.version:
                self._hold(self.current.model_copy(update={"version": stored.version + 1}))
        snapshot = self.current
        text = snapshot.model_dump_json().encode()
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(SNAPSHOT_KEY, text)
            pipe.publish(ROUTING_CHANGED.name, RoutingChanged(version=snapshot.version).model_dump_json())
            await pipe.execute()
        self._stored = text
        self._notes.published("ok")
        _log.info("published routing snapshot %d", snapshot.version)


def _parsed(stored: bytes | None) -> RoutingSnapshot | None:
    if stored is None:
        return None
    try:
        return RoutingSnapshot.model_validate_json(stored)
    except ValidationError:
        _log.warning("the stored routing snapshot cannot be read; it is replaced")
        return None
