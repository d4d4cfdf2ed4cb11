"""What deployments' latest requests took, as the gateways' worker tells it in Redis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from redis.asyncio import Redis

from sluice.contracts.targets import DeploymentLatency, latency_key
from sluice.redis import REDIS_DOWN


@dataclass(frozen=True, slots=True)
class Latencies:
    """Reads them. Degraded mode: while Redis is away none is known, and nothing counts as too slow."""

    redis: Redis

    async def read(self, deployments: Sequence[str]) -> Mapping[str, float]:
        """Return for each deployment that answered lately within how many seconds nine in ten of its requests were answered."""
        if not deployments:
            return {}
        try:
            found = await self.redis.mget([latency_key(one) for one in deployments])
        except REDIS_DOWN:
            return {}
        known: dict[str, float] = {}
        for deployment, text in zip(deployments, found, strict=True):
            try:
                if text is not None:
                    known[deployment] = DeploymentLatency.model_validate_json(text).p90_s
            except ValidationError:
                continue
        return known
