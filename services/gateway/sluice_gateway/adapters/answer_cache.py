"""Kept answers in Redis, the lock that lets one process ask the model, and the invalidations that all processes follow."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice.queues import CACHE_INVALIDATED, CacheInvalidated, publish, subscribe
from sluice_gateway.cache.levels import AnswerCache
from sluice_gateway.domain.cached import Entry, Level, packed, unpacked

_log = logging.getLogger(__name__)
_ENTRY = b"sluice:cache:answer:"
_LOCK = b"sluice:cache:asking:"
_TIMES = "sluice:cache:invalidations"
_LOCK_MS = 30_000
_LONGEST_KEPT_S = 604_800
_PATIENCE_S = 0.25
_REST_S = 1.0
_FREE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_Answered = TypeVar("_Answered")


class RedisAnswers:
    """The second level and the lock; after a failure it is left alone for a second."""

    level: Level = "l2"

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._token = secrets.token_bytes(12)
        self._rests_until = 0.0

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return the entries of these keys, as far as there are any."""
        found = await self._ask(lambda: self._redis.mget([_ENTRY + key for key in keys]))
        entries = ((key, unpacked(data)) for key, data in zip(keys, found, strict=True) if type(data) is bytes)
        return {key: entry for key, entry in entries if entry is not None}

    async def put(self, entries: Mapping[bytes, Entry], now: float) -> None:
        """Keep entries until they expire."""
        lasting = {key: entry for key, entry in entries.items() if entry.ends - now >= 0.001}
        if not lasting:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for key, entry in lasting.items():
                pipe.set(_ENTRY + key, packed(entry), px=int((entry.ends - now) * 1000))
            await self._ask(pipe.execute)

    async def take(self, key: bytes) -> bool:
        """Tell whether this process may ask the model; it loses that right after 30 seconds."""
        return bool(await self._ask(lambda: self._redis.set(_LOCK + key, self._token, nx=True, px=_LOCK_MS)))

    async def free(self, key: bytes) -> None:
        """Let others ask, if this process still has the right."""
        await self._ask(lambda: self._redis.eval(_FREE, 1, _LOCK + key, self._token))

    async def taken(self, key: bytes) -> bool:
        """Tell whether a process asks now."""
        return bool(await self._ask(lambda: self._redis.exists(_LOCK + key)))

    async def _ask(self, question: Callable[[], Awaitable[_Answered]]) -> _Answered:
        if self._clock.monotonic() < self._rests_until:
            raise DependencyUnavailable("The cache in Redis is left alone for a moment.")
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await question()
        except (RedisError, OSError, TimeoutError) as exc:
            self._rests_until = self._clock.monotonic() + _REST_S
            raise DependencyUnavailable("The cache in Redis does not answer.") from exc


class Lasting(Protocol):
    """Where answers and invalidations outlive Redis; its methods raise DependencyUnavailable while it is away."""

    async def forget(self, scope: str, at: float) -> None:
        """Delete what is of this scope and not younger than `at`, and keep in mind that it counts no more."""
        ...

    async def forgotten(self) -> Mapping[str, float]:
        """Return until when (unix seconds) what is of a scope counts no more."""
        ...


class Invalidations:
    """Invalidates in all processes: the times stand in Redis and in the database, and a message tells of a new one."""

    def __init__(self, redis: Redis, answers: AnswerCache, clock: Clock, lasting: Lasting | None = None) -> None:
        self._redis = redis
        self._answers = answers
        self._clock = clock
        self._lasting = lasting

    async def invalidate(self, scope: str) -> float:
        """Let all that is kept of this scope count no more, and return since when (unix seconds).

        Raises:
            DependencyUnavailable: Redis or the database is away; this process has forgotten the answers, others may not have.
        """
        at = self._clock.now()
        self._answers.invalidate({scope: at})
        try:
            async with asyncio.timeout(2.0):
                await self._redis.hset(_TIMES, scope, repr(at))
                await publish(self._redis, CACHE_INVALIDATED, CacheInvalidated(scope=scope, at=at))
        except (RedisError, OSError, TimeoutError) as exc:
            raise DependencyUnavailable("Redis is away: other gateways still use what they keep. Try again.") from exc
        if self._lasting is not None:
            await self._lasting.forget(scope, at)
        return at

    async def follow(self) -> None:
        """Take over invalidations as they are announced, until cancelled."""
        if self._lasting is not None:
            await self._recall(self._lasting)
        async for message in subscribe(self._redis, CACHE_INVALIDATED, on_connect=self._read):
            self._answers.invalidate({message.scope: message.at})

    async def _recall(self, lasting: Lasting) -> None:
        try:
            self._answers.invalidate(await lasting.forgotten())
        except DependencyUnavailable as exc:
            _log.warning("invalidations of the cache in the database cannot be read (%s)", exc.detail)

    async def _read(self) -> None:
        # Those that are older than anything kept can be are no longer needed.
        try:
            found = await self._redis.hgetall(_TIMES)
            times = {scope.decode(): float(at) for scope, at in found.items() if type(scope) is bytes}
            oldest = self._clock.now() - _LONGEST_KEPT_S
            self._answers.invalidate({scope: at for scope, at in times.items() if at >= oldest})
            old = [scope for scope, at in times.items() if at < oldest]
            if old:
                await self._redis.hdel(_TIMES, *old)
        except (RedisError, OSError) as exc:
            _log.warning("invalidations of the cache cannot be read (%s)", type(exc).__name__)
