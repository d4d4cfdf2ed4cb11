"""What was seen of questions in other words, in Redis: a list of samples for each model and route."""

from pydantic import ValidationError
from redis.asyncio import Redis

from sluice.contracts.routing import SemanticCache
from sluice.errors import DependencyUnavailable
from sluice.redis import REDIS_DOWN
from sluice_gateway.domain.threshold import Sample

_LIST = b"sluice:cache:samples:"
_POLICIES = b"sluice:cache:tuned"
_MOST = 500
_KEPT_S = 30 * 86_400


class RedisSamples:
    """The latest 500 of each name, forgotten when none came for thirty days."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, name: str) -> list[Sample]:
        """Return the samples of a model or route, newest first."""
        try:
            rows = await self._redis.lrange(_LIST + name.encode(), 0, -1)
        except REDIS_DOWN as exc:
            raise DependencyUnavailable("Redis does not answer.") from exc
        return [Sample(float(row[1:]), row[:1] == b"+") for row in rows if type(row) is bytes]

    async def put(self, name: str, sample: Sample, policy: SemanticCache) -> None:
        """Keep a sample in front of the others, and under which policy it was taken."""
        place = _LIST + name.encode()
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.lpush(place, b"%s%.4f" % (b"+" if sample.agrees else b"-", sample.similarity))
                pipe.ltrim(place, 0, _MOST - 1)
                pipe.expire(place, _KEPT_S)
                pipe.hset(_POLICIES, name, policy.model_dump_json())
                await pipe.execute()
        except REDIS_DOWN as exc:
            raise DependencyUnavailable("Redis does not answer.") from exc

    async def policies(self) -> dict[str, SemanticCache]:
        """Return the policy under which the last sample of each model and route was taken."""
        try:
            found = await self._redis.hgetall(_POLICIES)
        except REDIS_DOWN as exc:
            raise DependencyUnavailable("Redis does not answer.") from exc
        known: dict[str, SemanticCache] = {}
        for name, text in found.items():
            try:
                known[name.decode() if type(name) is bytes else str(name)] = SemanticCache.model_validate_json(text)
            except ValidationError:
                continue
        return known

    async def forget(self, name: str) -> bool:
        """Forget what was seen of a model or route; tell whether there was anything."""
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(_LIST + name.encode())
                pipe.hdel(_POLICIES, name)
                return any(await pipe.execute())
        except REDIS_DOWN as exc:
            raise DependencyUnavailable("Redis does not answer.") from exc
