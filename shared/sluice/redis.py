"""Opens the connection pool to Redis or Valkey."""

from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sluice.errors import DependencyUnavailable
from sluice.settings import PlatformSettings

REDIS_DOWN = (RedisConnectionError, RedisTimeoutError, OSError)
"""What a Redis that cannot be reached raises; adapters translate it."""


def open_redis(platform: PlatformSettings, *, retries: int = 2) -> "Redis":
    """Return a client (bytes in, bytes out); nothing is connected until the first command.

    A command that meets a broken connection is tried again `retries` times with a growing pause of at most 0.5 s.
    """
    return Redis.from_url(
        platform.redis_url,
        decode_responses=False,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
        socket_connect_timeout=2.0,
        socket_timeout=None,
        health_check_interval=0,
    )


def redis_probe(redis: Redis, waits: str) -> Callable[[], Awaitable[None]]:
    """Return a probe for readiness; `waits` names what has to wait while Redis is away, such as "new runs"."""

    async def answers() -> None:
        try:
            await redis.ping()
        except REDIS_DOWN as exc:
            raise DependencyUnavailable(f"Redis does not answer; {waits} wait until it does.") from exc

    return answers
