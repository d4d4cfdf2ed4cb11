"""Questions that were asked, in Redis: a short list for each place."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.errors import DependencyUnavailable
from sluice_gateway.cache.similar import Asked

_PLACE = b"sluice:cache:asked:"
_MOST = 8
_KEY_BYTES = 20
_Answered = TypeVar("_Answered")


class RedisQuestions:
    """Each place keeps its eight latest questions."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, place: bytes) -> list[Asked]:
        """Return the questions of a place, newest first."""
        rows = await _ask(lambda: self._redis.lrange(_PLACE + place, 0, -1))
        return [
            Asked(row[_KEY_BYTES:].decode(errors="replace"), row[:_KEY_BYTES]) for row in rows if type(row) is bytes
        ]

    async def put(self, place: bytes, asked: Asked, ttl_s: int) -> None:
        """Keep a question in front of the others."""
        name, row = _PLACE + place, asked.answer + asked.text.encode(errors="replace")
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.lrem(name, 0, row)  # type: ignore[arg-type] # the stubs know of text only
            pipe.lpush(name, row)
            pipe.ltrim(name, 0, _MOST - 1)
            pipe.expire(name, ttl_s)
            await _ask(pipe.execute)


async def _ask(question: Callable[[], Awaitable[_Answered]]) -> _Answered:
    try:
        return await question()
    except (RedisError, OSError) as exc:
        raise DependencyUnavailable("Redis does not answer.") from exc
