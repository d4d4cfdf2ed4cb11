"""One of three replicas dies under load, with three gateways in front: `make bench-replicas` does the same with real engines and processes."""

import asyncio
import json
from contextlib import AsyncExitStack

import httpx
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.contracts.routing import RoutingSnapshot

CHAT = "/v1/chat/completions"
SLOW = Behaviour(chunk_delay_s=0.02)


def routing(replicas: list[Provider], down: int | None = None) -> RoutingSnapshot:
    places = [
        deployment(f"d{number}", one.base_url, health="down" if number == down else "up")
        for number, one in enumerate(replicas)
    ]
    return snapshot(model("small", *places))


async def ask(client: httpx.AsyncClient, gateway: Served, *, stream: bool) -> str:
    body = {"model": "small", "messages": [{"role": "user", "content": "What is a fox?"}], "stream": stream}
    answer = await client.post(gateway.url + CHAT, json=body)
    if answer.status_code != 200:
        return f"status {answer.status_code}"
    if not stream:
        return "ok" if answer.json()["choices"] else "empty"
    if answer.text.endswith("data: [DONE]\n\n"):
        return "ok"
    last = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")][-1]
    return str(last["error"]["code"]) if "error" in last else "broken off"


async def test_no_whole_request_fails_and_the_dead_replica_is_asked_no_more(client: httpx.AsyncClient) -> None:
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(Provider(default=SLOW)) for _ in range(3)]
        gateways = [await stack.enter_async_context(serving(Parts(), routing(replicas))) for _ in range(3)]
        over = asyncio.Event()
        wholes: list[str] = []
        streams: list[str] = []

        async def load(number: int) -> None:
            while not over.is_set():
                number += 1
                wholes.append(await ask(client, gateways[number % 3], stream=False))
                streams.append(await ask(client, gateways[(number + 1) % 3], stream=True))

        work = [asyncio.create_task(load(number)) for number in range(9)]
        dead = replicas[0]
        async with asyncio.timeout(60):
            while not (dead.open and dead.events_sent > 20):
                await asyncio.sleep(0.005)
            await dead.stop()
            await asyncio.sleep(0.2)
            for gateway in gateways:
                gateway.plane.use(routing(replicas, down=0))
            await asyncio.sleep(0.3)  # what was on its way to it
            failed = [_failures(gateway) for gateway in gateways]
            await asyncio.sleep(0.6)
            assert [_failures(gateway) for gateway in gateways] == failed, "it was asked after the gateways knew"
            seen = len(dead.seen)
            await dead.start()
            for gateway in gateways:
                gateway.plane.use(routing(replicas))
            while len(dead.seen) < seen + 9 or len(wholes) <= 50:
                await asyncio.sleep(0.01)
        over.set()
        await asyncio.gather(*work)
    assert set(wholes) == {"ok"}
    assert set(streams) == {"ok", "stream_interrupted"}


def _failures(gateway: Served) -> float:
    text = gateway.parts.registry.render()[0].decode()
    lines = [line for line in text.splitlines() if line.startswith("sluice_gateway_upstream_errors_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
