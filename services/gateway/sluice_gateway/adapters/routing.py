"""Holds the routing snapshot and keeps it up to date."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.contracts.routing import SNAPSHOT_KEY, RoutingSnapshot
from sluice.errors import SluiceError
from sluice.queues import ROUTING_CHANGED, subscribe
from sluice_gateway.domain.errors import SnapshotMissing

_log = logging.getLogger(__name__)
_FIRST_S = 1.0
_UNTIL_FIRST_S = 1.0
_WITHOUT_REDIS_S = 5.0

Listener = Callable[[RoutingSnapshot], None]


class SnapshotSource(Protocol):
    """The router itself, asked when Redis has no answer; raises SluiceError while it is away."""

    async def snapshot(self) -> RoutingSnapshot:
        """Return the snapshot in force."""
        ...


class SnapshotHolder:
    """Reads the snapshot from Redis, or from the router while Redis is away, and hands each newer one to `listener`.

    Degraded mode: while both are away the last snapshot stays in force. A snapshot whose version is not higher than
    the one in force is ignored, so that versions never go back.
    """

    def __init__(self, redis: Redis, source: SnapshotSource, listener: Listener, *, reload_s: float) -> None:
        self._redis = redis
        self._source = source
        self._listener = listener
        self._reload_s = reload_s
        self._redis_away = False
        self.current: RoutingSnapshot | None = None

    def known_policies(self) -> frozenset[str] | None:
        """Return the names of all policies, None while there is no snapshot."""
        return frozenset(policy.name for policy in self.current.policies) if self.current else None

    def offer(self, snapshot: RoutingSnapshot) -> bool:
        """Put a snapshot in force if it is newer; tells whether it was."""
        if self.current is not None and snapshot.version <= self.current.version:
            return False
        self._listener(snapshot)
        self.current = snapshot
        _log.info(
            "routing snapshot %d is in force: %d models, %d routes",
            snapshot.version,
            len(snapshot.models),
            len(snapshot.routes),
        )
        return True

    async def refresh(self) -> None:
        """Read the snapshot; when nobody can tell, the one in force stays."""
        found = await self._from_redis()
        if found is None:
            found = await self._from_router()
        if found is not None:
            self.offer(found)

    async def begin(self) -> None:
        """Read the snapshot before the first request comes, if it is told at once: clients may be waiting already."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_S):
                await self.refresh()

    async def follow(self) -> None:
        """Read again whenever the router announces a change, until cancelled."""
        async for _ in subscribe(self._redis, ROUTING_CHANGED, on_connect=self.refresh):
            await self.refresh()

    async def look(self) -> None:
        """Read at once, and again now and then, until cancelled."""
        while True:
            await self.refresh()
            if self.current is None:
                pause = _UNTIL_FIRST_S
            else:
                pause = min(_WITHOUT_REDIS_S, self._reload_s) if self._redis_away else self._reload_s
            await asyncio.sleep(pause)

    async def probe(self) -> None:
        """Raise while there is no snapshot."""
        if self.current is None:
            raise SnapshotMissing("No routing snapshot is there yet; is the router running?")

    async def _from_redis(self) -> RoutingSnapshot | None:
        try:
            stored = await self._redis.get(SNAPSHOT_KEY)
        except (RedisError, OSError):
            self._redis_away = True
            return None
        self._redis_away = False
        return _parsed(stored) if stored else None

    async def _from_router(self) -> RoutingSnapshot | None:
        try:
            return await self._source.snapshot()
        except SluiceError as exc:
            _log.warning("no routing snapshot from the router: %s", exc.detail)
            return None


def _parsed(stored: bytes | str) -> RoutingSnapshot | None:
    try:
        return RoutingSnapshot.model_validate_json(stored)
    except ValidationError:
        _log.exception("the published routing snapshot cannot be read")
        return None
