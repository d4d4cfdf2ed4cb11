"""What deployments' latest requests took, told to the routers."""

import logging
from collections import OrderedDict, deque
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.clock import Clock
from sluice.contracts.targets import LATENCY_KEPT_S, DeploymentLatency, latency_key
from sluice_gateway.domain.usage_rows import UsageRows

_log = logging.getLogger(__name__)
_LATEST = 100
_ENOUGH = 5
_EVERY_S = 1.0
_DEPLOYMENTS = 2000


class LatencyBoard:
    """Keeps the latest hundred answered requests of each deployment and writes into Redis what nine in ten of them took at most.

    It reads usage records behind the requests, so that no request pays for it. Degraded mode: what Redis does not take (it is away, or full) is told with the next records.
    """

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._latest: OrderedDict[str, deque[tuple[float, float]]] = OrderedDict()
        self._untold: set[str] = set()
        self._told_at = float("-inf")

    async def take(self, parts: Sequence[UsageRows]) -> None:
        """Note records, and tell at most once a second what changed."""
        oldest = self._clock.now() - LATENCY_KEPT_S
        for part in parts:
            rows = part.columns
            for place, deployment in enumerate(rows["deployment"]):
                if deployment and rows["status"][place] == "ok" and rows["at"][place] >= oldest:
                    first = rows["ttft_ms"][place]
                    took = rows["duration_ms"][place] if first is None else first
                    self._note(deployment, rows["at"][place], took / 1000)
        now = self._clock.monotonic()
        if self._untold and now - self._told_at >= _EVERY_S:
            self._told_at = now
            await self._tell(oldest)

    def _note(self, deployment: str, at: float, seconds: float) -> None:
        latest = self._latest.get(deployment)
        if latest is None:
            latest = self._latest[deployment] = deque(maxlen=_LATEST)
            if len(self._latest) > _DEPLOYMENTS:
                self._latest.popitem(last=False)
        self._latest.move_to_end(deployment)
        latest.append((at, seconds))
        self._untold.add(deployment)

    async def _tell(self, oldest: float) -> None:
        told = set(self._untold)
        async with self._redis.pipeline(transaction=False) as pipe:
            for deployment in told:
                times = sorted(seconds for at, seconds in self._latest.get(deployment, ()) if at >= oldest)
                if len(times) >= _ENOUGH:
                    slow = times[min(len(times) - 1, int(0.9 * len(times)))]
                    found = DeploymentLatency(
                        deployment=deployment, p90_s=slow, requests=len(times), at=self._clock.now()
                    )
                    pipe.set(latency_key(deployment), found.model_dump_json(), ex=LATENCY_KEPT_S)
            try:
                await pipe.execute()
            except (RedisError, OSError) as exc:
                _log.warning("latencies of deployments cannot be told (%s)", type(exc).__name__)
                return
        self._untold -= told
