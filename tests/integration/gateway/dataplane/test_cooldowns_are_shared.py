"""Two gateways on one Valkey leave a failing deployment alone together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.clock import SystemClock
from sluice.testing import redis_at
from sluice_gateway.adapters.cooldown_channel import CooldownChannel
from sluice_gateway.dataplane.deps import Options

CHAT = "/v1/chat/completions"
BODY = {"model": "small", "messages": [{"role": "user", "content": "What is a fox?"}]}


@asynccontextmanager
async def sharing(url: str, routing: object, options: Options) -> AsyncIterator[Served]:
    async with serving(Parts(options=options), routing) as gateway, redis_at(url) as redis:
        channel = CooldownChannel(redis, gateway.plane.cooldowns, SystemClock())
        loops = [asyncio.create_task(channel.send()), asyncio.create_task(channel.follow())]
        try:
            await until(lambda: gateway.plane.cooldowns.shared)
            yield gateway
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def state_of(gateway: Served) -> object:
    return gateway.plane._table.models["small"].deployments[0]


async def test_a_breaker_opens_and_closes_in_the_other_gateway(
    flushed_valkey: str, provider: Provider, client: httpx.AsyncClient
) -> None:
    async with Provider(default=Behaviour(status=500)) as bad:
        routing = snapshot(
            model("small", deployment("bad", bad.base_url, weight=1000), deployment("good", provider.base_url))
        )
        options = Options(cooldown_s=30.0, breaker_failures=2, max_cooldown_s=60.0)
        async with sharing(flushed_valkey, routing, options) as one, sharing(flushed_valkey, routing, options) as two:
            while state_of(one).failures < 2:
                state_of(one).paused_until = 0.0
                await client.post(one.url + CHAT, json=BODY)
            await until(lambda: state_of(two).failures == 2)
            asked = len(bad.seen)
            answer = await client.post(two.url + CHAT, json=BODY)
            assert (answer.headers["x-sluice-deployment"], len(bad.seen)) == ("good", asked), (
                "two never met the failure"
            )

            async with sharing(flushed_valkey, routing, options) as late:
                await until(lambda: state_of(late).failures == 2)
                state_of(one).paused_until = 0.0
                bad.default = Behaviour()
                while state_of(one).failures:
                    await client.post(one.url + CHAT, json=BODY)
                await until(lambda: not state_of(two).failures and not state_of(late).failures)
            asked = len(bad.seen)
            answer = await client.post(two.url + CHAT, json=BODY)
            assert (answer.headers["x-sluice-deployment"], len(bad.seen)) == ("bad", asked + 1)
            metrics = two.parts.registry.render()[0].decode()
    assert 'sluice_gateway_breaker_events_total{event="opened",origin="elsewhere"}' in metrics
    assert "sluice_gateway_breaker_shared 1.0" in metrics


async def test_a_gateway_that_starts_later_knows_of_a_pause(
    flushed_valkey: str, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = Behaviour(status=429, retry_after="25", body=b"{}")
    routing = snapshot(model("small", deployment("d", provider.base_url)))
    async with sharing(flushed_valkey, routing, Options()) as one:
        assert (await client.post(one.url + CHAT, json=BODY)).status_code == 429
        async with redis_at(flushed_valkey) as redis, asyncio.timeout(60):
            while not await redis.exists("sluice:deployment:rest:d"):
                await asyncio.sleep(0.005)
        async with sharing(flushed_valkey, routing, Options()) as late:
            await until(lambda: state_of(late).paused_until)
            refused = await client.post(late.url + CHAT, json=BODY)
    assert (refused.status_code, len(provider.seen)) == (429, 1)
    assert 15 <= int(refused.headers["retry-after"]) <= 25


async def test_without_redis_each_gateway_keeps_to_itself_and_says_so(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.default = Behaviour(status=500)
    async with (
        serving(Parts(), snapshot(model("small", deployment("d", provider.base_url)))) as gateway,
        redis_at("redis://127.0.0.1:9") as redis,
    ):
        sending = asyncio.create_task(CooldownChannel(redis, gateway.plane.cooldowns, SystemClock()).send())
        for _ in range(4):
            assert (await client.post(gateway.url + CHAT, json=BODY)).status_code == 502
        metrics = gateway.parts.registry.render()[0].decode()
        sending.cancel()
        await asyncio.wait([sending])
    assert "sluice_gateway_breaker_shared 0.0" in metrics
    assert "sluice_gateway_resting_deployments 1.0" in metrics
    assert 'sluice_gateway_breaker_events_total{event="opened",origin="here"} 2.0' in metrics
