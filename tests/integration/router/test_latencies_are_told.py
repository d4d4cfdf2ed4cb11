"""What the gateway's worker tells of deployments is what the router reads, over a real Valkey."""

import time
from typing import Any

import pytest

from sluice.clock import SystemClock
from sluice.contracts.targets import latency_key
from sluice.contracts.usage import UsageRecorded
from sluice.testing import FakeClock, redis_at
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.usage.latencies import LatencyBoard
from sluice_router.adapters.latencies import Latencies

pytestmark = pytest.mark.integration


def rows(deployment: str, seconds: list[float], **fields: Any) -> UsageRows:
    common = {"tenant": "acme", "key_id": "k", "endpoint": "/v1/chat/completions", "model": "m", "http_status": 200}
    return UsageRows.of(
        UsageRecorded.model_validate(
            {
                **common,
                "event_id": f"{deployment}-{number}",
                "request_id": "r",
                "at": time.time(),
                "status": "ok",
                "deployment": deployment,
                "duration_ms": took * 1000,
                **fields,
            }
        )
        for number, took in enumerate(seconds)
    )


async def test_a_router_reads_what_the_worker_tells(flushed_valkey: str) -> None:
    async with redis_at(flushed_valkey) as redis:
        board, read = LatencyBoard(redis, FakeClock(time.time())), Latencies(redis).read
        await board.take(
            [
                rows("whole", [0.1] * 9 + [5.0, 0.2]),
                rows("streams", [9.0] * 6, ttft_ms=300.0),
                rows("few", [0.1] * 4),
                rows("broken", [0.1] * 9, status="error"),
                rows("old", [0.1] * 9, at=time.time() - 3600),
            ]
        )
        names = ["whole", "streams", "few", "broken", "old", "never"]
        assert await read(names) == {"whole": 0.2, "streams": 0.3}
        assert 0 < await redis.ttl(latency_key("whole")) <= 600
        await board.take([rows("few", [0.7] * 4)])
        assert "few" not in await read(names), "told at most once a second"
        await redis.set(latency_key("never"), b"nonsense")
        assert await read(["never", "whole"]) == {"whole": 0.2}
        await redis.config_set("maxmemory", "1")  # a Redis that is full takes nothing new; usage is stored all the same
        try:
            await LatencyBoard(redis, SystemClock()).take([rows("whole", [0.1] * 9)])
        finally:
            await redis.config_set("maxmemory", "0")
    lost = redis_at("redis://127.0.0.1:9/0")
    await LatencyBoard(lost, SystemClock()).take([rows("whole", [0.1] * 9)])
    assert await Latencies(lost).read(["whole"]) == {}
    await lost.aclose()
