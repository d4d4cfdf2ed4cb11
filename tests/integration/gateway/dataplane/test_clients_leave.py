"""Clients that leave a stream: before it begins, after each of its chunks, and in the middle of each.

The provider sends so many chunks and then nothing, so that what it has counted is known, whatever the machine's speed.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import pytest
from anthropic_provider import KEY as ANTHROPIC_KEY
from anthropic_provider import AnthropicProvider
from foreign_provider import Behaviour as ForeignBehaviour
from gateway_parts import Keys, Parts, Secrets, Served, deployment, model, serving, snapshot
from gemini_provider import KEY as GEMINI_KEY
from gemini_provider import GeminiProvider
from openai_provider import Behaviour, Provider
from tests.integration.gateway.dataplane.test_dataplane_direct import CountingPlane
from tests.unit.gateway.limits.test_limiter import limits

from sluice.testing.clock import EarlyClock
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.domain.leases import nano_dollars
from sluice_gateway.domain.ports import KeyRecord, UsageFields

WORDS = ("alpha", "bravo", "charlie", "delta")
# events before the first word, and after the last one up to the end of the answer
AROUND = {"openai": (1, 2), "anthropic": (3, 2), "gemini": (0, 0)}
SAID_AT_START = {"openai": 0, "anthropic": 1, "gemini": 0}  # Anthropic begins with a token of its own
QUESTION = [{"role": "user", "content": "Name some letters."}]
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"max_tokens": 50, "messages": QUESTION},
    "/v1/messages": {"max_tokens": 50, "messages": QUESTION},
    "/v1/responses": {"max_output_tokens": 50, "input": "Name some letters."},
}
PATIENCE_S = 30


class Leaving(NamedTuple):
    """One client that leaves: when the provider has sent so many chunks, or half a chunk more; and what was counted then."""

    provider: str
    chunks: int
    within: bool

    @property
    def name(self) -> str:
        return f"leave-{self.provider}-{self.chunks}-{int(self.within)}"

    @property
    def words(self) -> int:
        return max(0, min(self.chunks - AROUND[self.provider][0], len(WORDS)))

    @property
    def counted(self) -> int:
        return max(self.words, SAID_AT_START[self.provider] if self.chunks else 0)


def leavings() -> Iterator[Leaving]:
    for provider, (before, after) in AROUND.items():
        for chunks in range(before + len(WORDS) + after + 1):
            yield Leaving(provider, chunks, within=False)
            if chunks < before + len(WORDS) + after:
                yield Leaving(provider, chunks, within=True)


class World(NamedTuple):
    """A request path with a model on each provider, and a key that has limits."""

    served: Served
    simulators: dict[str, Provider]

    @property
    def events(self) -> dict[str, UsageFields]:
        return {event.request_id: event for event in self.served.parts.usage.events}

    def is_idle(self) -> bool:
        plane = self.served.plane
        states = [state for entry in plane._table.models.values() for state in entry.deployments]
        return plane.direct == 0 and len(plane._disconnects) == 0 and not any(state.in_flight for state in states)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        simulators: dict[str, Provider] = {
            "openai": await stack.enter_async_context(Provider()),
            "anthropic": await stack.enter_async_context(AnthropicProvider()),
            "gemini": await stack.enter_async_context(GeminiProvider()),
        }
        models = [
            model(name, deployment(
                f"d-{name}", one.base_url, provider=name, upstream_model=f"{name}-1", timeout_s=60, connect_timeout_s=30,
                max_in_flight=500, auth={"kind": "bearer", "env": name.upper()} if name != "openai" else {"kind": "none"},
            ))
            for name, one in simulators.items()
        ]  # fmt: skip
        levels = (limits(max_concurrent=500, budget_per_day_usd=100.0, tokens_per_minute=1_000_000),)
        keys = Keys({b"Bearer sk-test": KeyRecord("key_1", "tenant-a", "test", limits=levels)})
        parts = Parts(
            keys=keys,
            secrets=Secrets({"ANTHROPIC": ANTHROPIC_KEY, "GEMINI": GEMINI_KEY}),
            options=Options(trace_ratio_direct=0.0),
            plane=CountingPlane,
            clock=EarlyClock(),
        )
        yield World(await stack.enter_async_context(serving(parts, snapshot(*models))), simulators)


async def leave(on: World, path: str, one: Leaving) -> None:
    """Ask, wait until all that the provider sent is here, and close the connection at once."""
    simulator = on.simulators[one.provider]
    kind = Behaviour if one.provider == "openai" else ForeignBehaviour
    simulator.for_request[one.name] = kind(text=" ".join(WORDS), hold_after=one.chunks, hold_within=one.within)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(on.served.url.rsplit(":", 1)[1]))
    body = json.dumps({"model": one.provider, "stream": True, **ASKED[path]}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\nx-request-id: {one.name}\r\n"
    writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
    if one.words:
        await reader.readuntil(WORDS[one.words - 1].encode())
    while one.name not in simulator.held:
        await asyncio.sleep(0.01)
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def warm(on: World, connections: int) -> None:
    """Open connections to OpenAI's simulator, so that what comes then is answered by callbacks."""
    port = int(on.served.url.rsplit(":", 1)[1])
    body = json.dumps({"model": "openai", **ASKED["/v1/chat/completions"]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\nconnection: close\r\n"
    simulator, gate = on.simulators["openai"], asyncio.Event()
    simulator.default = Behaviour(gate=gate)

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    asked = [asyncio.create_task(ask()) for _ in range(connections)]
    while len(simulator.seen) < connections:
        await asyncio.sleep(0.01)
    gate.set()
    answers = await asyncio.gather(*asked)
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


@pytest.mark.parametrize(("path", "warmed"), [*((path, False) for path in ASKED), ("/v1/chat/completions", True)])
async def test_what_came_is_billed_and_nothing_stays_taken(path: str, warmed: bool) -> None:
    everyone = [one for one in leavings() if not warmed or one.provider == "openai"]
    async with asyncio.timeout(PATIENCE_S), world() as on:
        assert isinstance(on.served.plane, CountingPlane)
        if warmed:
            await warm(on, len(everyone))
            on.served.plane.coroutines = 0
        await asyncio.gather(*(leave(on, path, one) for one in everyone))
        while len(on.events) < len(everyone) + len(everyone) * warmed or not on.is_idle():
            await asyncio.sleep(0.01)
        while sum(simulator.aborted for simulator in on.simulators.values()) < len(everyone):
            await asyncio.sleep(0.01)
        assert on.served.plane.coroutines == len(everyone) * (not warmed)
        events = on.events
        for one in everyone:
            event = events[one.name]
            assert (event.status, event.http_status, event.completion_tokens) == ("cancelled", 499, one.counted), one
            assert event.prompt_tokens > 0, one
        draws = on.served.plane.limits._gates["key_1"].draws
        assert [lease.used for lease in draws.slots] == [0], "every place is free again"
        (money,), (tokens,) = draws.money, draws.tokens
        assert money.used == money.spent == sum(nano_dollars(event.cost_usd) for event in events.values())
        assert tokens.used == tokens.spent == sum(e.prompt_tokens + e.completion_tokens for e in events.values())
