"""Two gateways that share what they keep through a real Valkey, and one whose Valkey is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider
from redis.asyncio import Redis

from sluice.clock import SystemClock
from sluice.contracts.routing import CachePolicy, Policy
from sluice.testing import redis_at
from sluice_gateway.adapters.answer_cache import Invalidations, RedisAnswers
from sluice_gateway.cache.levels import AnswerCache
from sluice_gateway.dataplane.deps import DataPlaneDeps, Options

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "What is a fox?"}], "temperature": 0}


class Sharing(Parts):
    """A gateway's parts with a cache that has far levels."""

    answers: AnswerCache

    def deps(self) -> DataPlaneDeps:
        return replace(super().deps(), answers=self.answers)


@asynccontextmanager
async def gateway(provider: Provider, redis: Redis) -> AsyncIterator[Served]:
    parts = Sharing(options=Options(trace_ratio_direct=0.0))
    far = RedisAnswers(redis, SystemClock())
    parts.answers = AnswerCache(None, (far,), far)
    following = asyncio.create_task(Invalidations(redis, parts.answers, SystemClock()).follow())
    routing = snapshot(
        model("small", deployment("d1", provider.base_url), policy="kept"),
        policies=(Policy(name="kept", cache=CachePolicy()),),
    )
    async with serving(parts, routing) as served:
        yield served
    await parts.answers.close()
    following.cancel()
    await asyncio.wait([following])


async def said(client: httpx.AsyncClient, served: Served, **changes: Any) -> str:
    answer = await client.post(served.url + CHAT, json={**BODY, **changes})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-sluice-cache"].rsplit("; age", 1)[0]


@pytest.fixture
async def redis(flushed_valkey: str) -> AsyncIterator[Redis]:
    client = redis_at(flushed_valkey)
    yield client
    await client.aclose()


async def test_what_one_gateway_keeps_all_have(provider: Provider, client: httpx.AsyncClient, redis: Redis) -> None:
    async with gateway(provider, redis) as one, gateway(provider, redis) as other:
        assert await said(client, one, stream=True) == "miss"
        await one.parts.answers.close()
        assert await said(client, other, stream=True) == "hit; level=l2"
        assert await said(client, other, stream=True) == "hit; level=l1"


async def test_two_gateways_ask_the_model_once(provider: Provider, client: httpx.AsyncClient, redis: Redis) -> None:
    provider.default = Behaviour(stall_s=0.4)
    async with gateway(provider, redis) as one, gateway(provider, redis) as other:
        outcomes = await asyncio.gather(*(said(client, served) for served in (one, other) for _ in range(5)))
    assert outcomes.count("miss") == 1
    assert len(provider.seen) == 1


async def test_a_leader_that_fails_lets_the_other_gateway_go_on(
    provider: Provider, client: httpx.AsyncClient, redis: Redis
) -> None:
    provider.next(Behaviour(status=400, stall_s=0.3))
    async with gateway(provider, redis) as one, gateway(provider, redis) as other:
        failing = asyncio.create_task(client.post(one.url + CHAT, json=BODY))
        while not provider.seen:
            await asyncio.sleep(0.01)
        assert await said(client, other) == "miss"
        assert (await failing).status_code == 400


async def test_what_is_invalidated_no_gateway_uses(provider: Provider, client: httpx.AsyncClient, redis: Redis) -> None:
    async with gateway(provider, redis) as one, gateway(provider, redis) as other:
        assert await said(client, one) == "miss"
        await one.parts.answers.close()
        assert await said(client, other) == "hit; level=l2"
        await Invalidations(redis, one.parts.answers, SystemClock()).invalidate("tenant:tenant-a")
        async with asyncio.timeout(60):
            while len(other.parts.answers.memory):
                await asyncio.sleep(0.01)
        assert await said(client, other) == "miss"
        assert await said(client, other) == "hit; level=l1"
    async with gateway(provider, redis) as later:
        assert await said(client, later) == "hit; level=l2"


async def test_without_redis_requests_go_on(provider: Provider, client: httpx.AsyncClient) -> None:
    redis = redis_at("redis://127.0.0.1:1/0")
    async with gateway(provider, redis) as alone:
        assert await said(client, alone) == "miss"
        assert await said(client, alone) == "hit; level=l1"
        errors = alone.parts.registry.registry.get_sample_value("sluice_gateway_cache_errors_total", {"level": "l2"})
        assert errors is not None
        assert errors >= 1
    await redis.aclose()
