"""Opens the connection pool to Redis or Valkey."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sluice.errors import DependencyUnavailable
from sluice.settings import PlatformSettings

REDIS_DOWN = (RedisConnectionError, RedisTimeoutError, OSError)
"""What a Redis that cannot be reached raises; adapters translate it."""
ANSWER_S = 10.0
"""So long a command may take; a read that blocks in Redis blocks for less."""


def open_redis(platform: PlatformSettings, *, retries: int = 2, answer_s: float = ANSWER_S) -> "Redis":
    """Return a client (bytes in, bytes out); nothing is connected until the first command.

    A command that meets a broken connection, or is not answered within `answer_s` seconds, is tried again `retries` times with
    a growing pause of at most 0.5 s. A command that Redis blocks on purpose must end before.
    """
    redis = Redis.from_url(
        platform.redis_url,
        decode_responses=False,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
        socket_connect_timeout=2.0,
        socket_timeout=None,
        health_check_interval=0,
    )
    pool = redis.connection_pool
    pool.connection_class = _BOUNDED[pool.connection_class]
    pool.connection_kwargs["answer_s"] = answer_s
    return redis


class _Bounded:
    # redis-py's own `socket_timeout` writes under `asyncio.wait_for`, which can swallow a cancellation before Python 3.12.

    def __init__(self, *, answer_s: float, **options: Any) -> None:
        self._answer_s = answer_s
        super().__init__(**options)

    async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
        try:
            async with asyncio.timeout(self._answer_s):
                await super().send_packed_command(*arguments, **options)  # type: ignore[misc] # a mixin: the connection comes after it
        except TimeoutError as exc:
            raise RedisTimeoutError("Redis does not take what is written to it") from exc

    async def read_response(self, *arguments: Any, timeout: float | None = None, **options: Any) -> Any:
        # A subscription says how long it waits for what may never come; that brings None, and is no fault.
        try:
            async with asyncio.timeout(self._answer_s if timeout is None else None):
                return await super().read_response(*arguments, timeout=timeout, **options)  # type: ignore[misc] # a mixin: the connection comes after it
        except TimeoutError as exc:
            await self.disconnect(nowait=True)  # type: ignore[attr-defined] # as above
            raise RedisTimeoutError(f"Redis does not answer within {self._answer_s:g} s") from exc


class _BoundedConnection(_Bounded, Connection):
    pass


class _BoundedTls(_Bounded, SSLConnection):
    pass


class _BoundedUnix(_Bounded, UnixDomainSocketConnection):
    pass


_BOUNDED: dict[type, type] = {
    Connection: _BoundedConnection,
    SSLConnection: _BoundedTls,
    UnixDomainSocketConnection: _BoundedUnix,
}


def redis_probe(redis: Redis, waits: str) -> Callable[[], Awaitable[None]]:
    """Return a probe for readiness; `waits` names what has to wait while Redis is away, such as "new runs"."""

    async def answers() -> None:
        try:
            await redis.ping()
        except REDIS_DOWN as exc:
            raise DependencyUnavailable(f"Redis does not answer; {waits} wait until it does.") from exc

    return answers
