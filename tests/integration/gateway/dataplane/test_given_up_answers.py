"""Whole answers that nobody waits for: they are read to their end, charged as their provider counts, and bounded.

The providers answer when a gate is opened, so that nothing depends on the machine's speed.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from anthropic_provider import KEY as ANTHROPIC_KEY
from anthropic_provider import AnthropicProvider
from bedrock_provider import API_KEY as BEDROCK_KEY
from bedrock_provider import BedrockProvider
from foreign_provider import Behaviour as ForeignBehaviour
from gateway_parts import Keys, Parts, Secrets, Served, deployment, model, serving, snapshot
from gemini_provider import KEY as GEMINI_KEY
from gemini_provider import GeminiProvider
from openai_provider import Behaviour, Provider
from tests.integration.gateway.dataplane.test_dataplane_direct import CountingPlane
from tests.simulators.media_provider import IMAGE_USAGE, MediaProvider
from tests.unit.gateway.limits.test_limiter import limits

from sluice.testing.clock import EarlyClock
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.domain.leases import nano_dollars
from sluice_gateway.domain.ports import KeyRecord, UsageFields

TEXT = "alpha bravo charlie delta echo"
WORDS = 5
QUESTION = [{"role": "user", "content": "Name some letters."}]
MOST = 50
CHAT = "/v1/chat/completions"
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"max_tokens": MOST, "messages": QUESTION},
    "/v1/messages": {"max_tokens": MOST, "messages": QUESTION},
    "/v1/responses": {"max_output_tokens": MOST, "input": "Name some letters.", "store": False},
    "/v1/completions": {"max_tokens": MOST, "prompt": "Name some letters."},
    "/v1/embeddings": {"input": ["Name some letters.", "And digits."]},
    "/v1/rerank": {"query": "letters", "documents": ["alpha bravo", "some letters"]},
    "/v1/images/generations": {"prompt": "a fox", "n": 2},
}
# which provider answers on which path
WAYS = [
    *((path, name) for path in (CHAT, "/v1/messages", "/v1/responses") for name in ("openai", "anthropic", "gemini", "bedrock")),
    ("/v1/completions", "openai"),
    ("/v1/embeddings", "vectors"),
    ("/v1/rerank", "ranks"),
    ("/v1/images/generations", "image"),
]  # fmt: skip
MOMENTS = (
    0,
    30,
    120,
)  # bytes of the answer that have come when the client leaves: none, a part of the head, of the body
PATIENCE_S = 30


@dataclass
class World:
    """A request path with a model on each provider, a key that has limits, and the gate that all answers wait for."""

    served: Served
    simulators: dict[str, Provider]
    gate: asyncio.Event

    @property
    def events(self) -> dict[str, UsageFields]:
        return {event.request_id: event for event in self.served.parts.usage.events}

    def gated(self, provider: str, after: int = 0) -> Any:
        kind = ForeignBehaviour if provider in ("anthropic", "gemini", "bedrock") else Behaviour
        return kind(text=TEXT, gate=self.gate, gate_after=after)

    def request(self, path: str, provider: str, name: str, head: str = "", **fields: Any) -> bytes:
        body = json.dumps({"model": provider, **ASKED[path], **fields}).encode()
        lines = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\nx-request-id: {name}\r\n{head}"
        return lines.encode() + b"content-length: %d\r\n\r\n" % len(body) + body

    async def leave(self, path: str, provider: str, name: str, after: int = 0, **fields: Any) -> None:
        """Ask, and close the connection when so much of the answer has come."""
        simulator = self.simulators[provider]
        simulator.for_request[name] = self.gated(provider, after)
        _, writer = await asyncio.open_connection("127.0.0.1", int(self.served.url.rsplit(":", 1)[1]))
        writer.write(self.request(path, provider, name, **fields))
        await until(lambda: name in simulator.held)
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def ask(
        self, path: str, provider: str, name: str, head: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            headers = {"authorization": "Bearer sk-test", "x-request-id": name, **(head or {})}
            body = {"model": provider, **ASKED[path], **fields}
            return await client.post(self.served.url + path, json=body, headers=headers)

    async def settled(self, *names: str) -> list[UsageFields]:
        """Wait for the records of these requests, and check that nothing stays taken."""
        await until(lambda: all(name in self.events for name in names))
        plane = self.served.plane
        states = [state for entry in plane._table.models.values() for state in entry.deployments]
        await until(lambda: plane.direct == 0 and not plane._disconnects and not any(one.in_flight for one in states))
        assert len(plane.finishing) == 0
        draws = plane.limits._gates["key_1"].draws
        assert [lease.used for lease in draws.slots] == [0]
        (money,), (tokens,) = draws.money, draws.tokens
        events = self.served.parts.usage.events
        assert money.used == money.spent == sum(nano_dollars(event.cost_usd) for event in events)
        assert tokens.used == tokens.spent == sum(event.prompt_tokens + event.completion_tokens for event in events)
        return [self.events[name] for name in names]


@asynccontextmanager
async def world(changes: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        simulators: dict[str, Provider] = {
            "openai": await stack.enter_async_context(Provider()),
            "anthropic": await stack.enter_async_context(AnthropicProvider()),
            "gemini": await stack.enter_async_context(GeminiProvider()),
            "bedrock": await stack.enter_async_context(BedrockProvider()),
            "image": await stack.enter_async_context(MediaProvider()),
            "spare": await stack.enter_async_context(Provider(Behaviour(text=TEXT))),
        }
        simulators["vectors"] = simulators["ranks"] = simulators["openai"]
        kinds = {"vectors": "embedding", "ranks": "rerank", "image": "image"}
        foreign = ("anthropic", "gemini", "bedrock")
        models = []
        for name, one in simulators.items():
            settings: dict[str, Any] = {"provider": "openai", "timeout_s": 60}
            if name in foreign:
                settings |= {"provider": name, "auth": {"kind": "bearer", "env": name.upper()}}
            if name == "openai":
                settings |= changes or {}
            place = deployment(
                f"d-{name}",
                one.base_url,
                upstream_model=f"{name}-1",
                connect_timeout_s=30,
                max_in_flight=500,
                **settings,
            )
            fallbacks = ("spare",) if name == "openai" else ()
            models.append(model(name, place, kind=kinds.get(name, "chat"), fallbacks=fallbacks))
        places, minute = options.pop("places", 500), options.pop("minute", 10**7)
        levels = (limits(max_concurrent=places, budget_per_day_usd=100.0, tokens_per_minute=minute),)
        keys = Keys({b"Bearer sk-test": KeyRecord("key_1", "tenant-a", "test", limits=levels)})
        parts = Parts(
            keys=keys,
            secrets=Secrets({"ANTHROPIC": ANTHROPIC_KEY, "GEMINI": GEMINI_KEY, "BEDROCK": BEDROCK_KEY}),
            options=Options(**{"trace_ratio_direct": 0.0, "cooldown_s": 0.0, **options}),
            plane=CountingPlane,
            clock=EarlyClock(),
        )
        gate = asyncio.Event()
        stack.callback(gate.set)
        yield World(await stack.enter_async_context(serving(parts, snapshot(*models))), simulators, gate)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not check():
            await asyncio.sleep(0.01)


def counted(event: UsageFields) -> tuple[Any, ...]:
    return event.prompt_tokens, event.completion_tokens, event.tokens_exact, event.cost_usd, event.token_details


@pytest.mark.parametrize(("path", "provider"), WAYS)
async def test_a_client_that_leaves_is_charged_what_the_provider_counts(path: str, provider: str) -> None:
    async with world() as on:
        simulator = on.simulators[provider]
        simulator.default = on.gated(provider)
        patient = asyncio.create_task(on.ask(path, provider, "patient-0"))
        names = [f"leaving-{after}" for after in MOMENTS]
        await asyncio.gather(*(on.leave(path, provider, f"leaving-{after}", after) for after in MOMENTS))
        await until(lambda: len(on.served.plane.finishing) == len(MOMENTS))
        assert "leaving-0" not in on.events, "nobody knows yet what it comes to"
        on.gate.set()
        assert (await patient).status_code == 200
        events = await on.settled("patient-0", *names)
        assert {counted(event) for event in events} == {counted(events[0])}
        assert events[0].tokens_exact
        assert events[0].prompt_tokens > 0
        said = {"image": IMAGE_USAGE["output_tokens"], "vectors": 0, "ranks": 0}
        assert events[0].completion_tokens == said.get(provider, WORDS)
        for event in events[1:]:
            assert (event.status, event.http_status, event.error_code) == ("cancelled", 499, "client_disconnected")
            assert event.deployment == f"d-{provider}"
        assert simulator.aborted == 0
        before = simulator.connections
        simulator.default = Behaviour() if provider not in ("anthropic", "gemini", "bedrock") else ForeignBehaviour()
        answers = await asyncio.gather(*(on.ask(path, provider, f"again-{number}") for number in range(4)))
        assert {answer.status_code for answer in answers} == {200}
        assert simulator.connections == before, "the connections of answers that were given up are used again"


async def test_a_client_that_leaves_is_charged_so_on_the_short_way_too() -> None:
    async with world() as on:
        simulator = on.simulators["openai"]
        simulator.default = on.gated("openai")
        opening = [asyncio.create_task(on.ask(CHAT, "openai", f"opening-{number}")) for number in range(20)]
        await until(lambda: len(simulator.held) == len(opening))
        on.gate.set()
        await asyncio.gather(*opening)
        on.gate.clear()
        assert isinstance(on.served.plane, CountingPlane)
        on.served.plane.coroutines = 0
        names = [f"leaving-{number}-{after}" for number in range(5) for after in MOMENTS]
        await asyncio.gather(*(on.leave(CHAT, "openai", name, int(name.rsplit("-", 1)[1])) for name in names))
        assert on.served.plane.coroutines == 0, "they were to be answered by callbacks"
        await until(lambda: len(on.served.plane.finishing) == len(names))
        on.gate.set()
        events = await on.settled("opening-0", *names)
        assert {counted(event) for event in events} == {counted(events[0])}
        assert simulator.aborted == 0


async def test_an_answer_that_does_not_come_is_closed_and_charged_as_long_as_it_may_be() -> None:
    async with world(given_up_s=0.3) as on:
        await on.leave(CHAT, "openai", "leaving-1")
        (event,) = await on.settled("leaving-1")
        await until(lambda: on.simulators["openai"].aborted == 1)
        assert (event.status, event.completion_tokens, event.tokens_exact) == ("cancelled", MOST, False)
        assert event.prompt_tokens > 0
        for n in (1, 3):
            await on.leave(CHAT, "openai", f"several-{n}", n=n)
        await on.settled("several-1", "several-3")
        assert on.events["several-3"].completion_tokens == 3 * MOST


async def test_an_answer_that_is_closed_early_is_charged_what_its_time_allows() -> None:
    async with world(given_up_s=0.0) as on:
        await on.leave(CHAT, "openai", "leaving-1", max_tokens=100_000)
        (event,) = await on.settled("leaving-1")
        assert 1 <= event.completion_tokens < 100_000
        await on.leave("/v1/embeddings", "vectors", "leaving-2")
        (event,) = await on.settled("leaving-2")
        assert (event.prompt_tokens > 0, event.completion_tokens, event.tokens_exact) == (True, 0, False)
        await until(lambda: on.simulators["openai"].aborted == 2)


async def test_so_many_answers_are_read_at_once_and_no_more() -> None:
    async with world(given_up_answers=2) as on:
        simulator = on.simulators["openai"]
        for number in range(5):
            await on.leave(CHAT, "openai", f"leaving-{number}")
            await until(lambda number=number: len(on.served.plane.finishing) + simulator.aborted == number + 1)
        assert simulator.aborted == 3
        on.gate.set()
        events = await on.settled(*(f"leaving-{number}" for number in range(5)))
        assert [event.tokens_exact for event in events] == [True, True, False, False, False]
        assert {event.completion_tokens for event in events[:2]} == {WORDS}
        assert all(0 < event.completion_tokens <= MOST for event in events[2:])


async def test_who_has_left_holds_his_place_until_the_answer_is_there() -> None:
    async with world(places=1) as on:
        await on.leave(CHAT, "openai", "leaving-1")
        await until(lambda: len(on.served.plane.finishing) == 1)
        waiting = asyncio.create_task(on.ask(CHAT, "openai", "waiting-1"))
        await until(lambda: on.served.plane.limits._waiting == 1)
        assert len(on.simulators["openai"].seen) == 1
        on.gate.set()
        assert (await waiting).status_code == 200
        await on.settled("leaving-1", "waiting-1")


@pytest.mark.parametrize(
    "said", [Behaviour(status=429, body=b"{}"), Behaviour(status=500, body=b"{}"), Behaviour(cut_after=30)]
)
async def test_a_provider_that_fails_after_all_costs_nothing(said: Behaviour) -> None:
    async with world() as on:
        simulator = on.simulators["openai"]
        on.gated = lambda provider, after=0: Behaviour(**{**vars(said), "gate": on.gate})  # type: ignore[method-assign]  # here the provider answers as this test says
        await on.leave(CHAT, "openai", "leaving-1")
        await until(lambda: len(on.served.plane.finishing) == 1)
        on.gate.set()
        (event,) = await on.settled("leaving-1")
        assert (event.status, counted(event)[:4]) == ("cancelled", (0, 0, True, 0.0))
        assert simulator.aborted == 0


@pytest.mark.parametrize("warmed", [False, True])
async def test_a_deadline_ends_the_wait_and_not_the_count(warmed: bool) -> None:
    async with world() as on:
        if warmed:
            assert (await on.ask(CHAT, "openai", "opening-1")).status_code == 200
        on.simulators["openai"].for_request["hurried-1"] = on.gated("openai")
        answer = await on.ask(CHAT, "openai", "hurried-1", {"x-sluice-deadline-ms": "200"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert "hurried-1" not in on.events
        on.gate.set()
        (event,) = await on.settled("hurried-1")
        assert (event.status, event.http_status, event.error_code) == ("error", 504, "deadline_exceeded")
        assert (event.completion_tokens, event.tokens_exact, event.duration_ms < 20_000) == (WORDS, True, True)


@pytest.mark.parametrize("warmed", [False, True])
async def test_an_attempt_that_took_too_long_is_counted_beside_the_answer(warmed: bool) -> None:
    async with world() as on:
        if warmed:
            assert (await on.ask(CHAT, "openai", "opening-1")).status_code == 200
        on.simulators["openai"].for_request["hurried-1"] = on.gated("openai")
        answer = await on.ask(CHAT, "openai", "hurried-1", {"x-sluice-attempt": "timeout-ms=200"})
        assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "d-spare")
        on.gate.set()
        answered, late = await on.settled("hurried-1", "hurried-1-timeout")
        assert (answered.status, answered.deployment) == ("ok", "d-spare")
        assert (late.status, late.http_status, late.error_code) == ("error", 504, "answer_timeout")
        assert (late.deployment, late.model, late.completion_tokens, late.tokens_exact) == (
            "d-openai",
            "openai",
            WORDS,
            True,
        )
        assert late.event_id != answered.event_id


async def test_an_attempt_that_took_too_long_keeps_nothing_from_the_next_one() -> None:
    async with world(minute=1000) as on:
        on.simulators["openai"].for_request["hurried-1"] = on.gated("openai")
        # Without a bound of its own it has reserved all that the minute had.
        answer = await on.ask(CHAT, "openai", "hurried-1", {"x-sluice-attempt": "timeout-ms=200"}, max_tokens=None)
        assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "d-spare")
        on.gate.set()
        _, late = await on.settled("hurried-1", "hurried-1-timeout")
        assert (late.completion_tokens, late.tokens_exact) == (WORDS, True)


@pytest.mark.parametrize(("provider", "closed"), [("openai", False), ("llamacpp", True), ("vllm", True)])
async def test_what_the_operator_finds_too_slow_costs_nothing_unless_it_comes(provider: str, closed: bool) -> None:
    async with world({"timeout_s": 0.2, "provider": provider}, given_up_s=20.0 if closed else 0.3) as on:
        on.simulators["openai"].for_request["too-slow-1"] = on.gated("openai")
        answer = await on.ask(CHAT, "openai", "too-slow-1")
        assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "d-spare")
        await until(lambda: on.simulators["openai"].aborted == 1)
        await on.settled("too-slow-1")
        assert set(on.events) == {"too-slow-1"}


async def test_the_slower_of_two_is_counted_when_it_has_answered() -> None:
    async with world() as on:
        simulator = on.simulators["openai"]
        place = deployment("d-openai", simulator.base_url, timeout_s=60, weight=1000)
        other = deployment("d-other", on.simulators["spare"].base_url, timeout_s=60)
        on.served.plane.use(snapshot(model("openai", place, other)))
        simulator.for_request["hedged-1"] = on.gated("openai")
        answer = await on.ask(CHAT, "openai", "hedged-1", {"x-sluice-attempt": "hedge-ms=50"})
        assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "d-other")
        on.gate.set()
        won, lost = await on.settled("hedged-1", "hedged-1-hedge")
        assert (lost.status, lost.error_code, lost.deployment) == ("cancelled", "hedge_lost", "d-openai")
        assert counted(lost) == counted(won)


async def test_both_of_a_client_that_leaves_are_counted() -> None:
    async with world() as on:
        simulator = on.simulators["openai"]
        simulator.for_request["leaving-1"] = on.gated("openai")
        places = [deployment(f"d-{number}", simulator.base_url, timeout_s=60) for number in range(2)]
        on.served.plane.use(snapshot(model("openai", *places)))
        headers = {"authorization": "Bearer sk-test", "x-request-id": "leaving-1", "x-sluice-attempt": "hedge-ms=50"}
        body = {"model": "openai", **ASKED[CHAT]}
        async with httpx.AsyncClient(timeout=60, headers=headers) as client:
            asked = asyncio.create_task(client.post(on.served.url + CHAT, json=body))
            await until(lambda: len(simulator.seen) == 2)
            asked.cancel()
            await asyncio.wait([asked])
        await until(lambda: len(on.served.plane.finishing) == 2)
        on.gate.set()
        left, beside = await on.settled("leaving-1", "leaving-1-hedge")
        assert counted(left) == counted(beside)
        assert (left.completion_tokens, left.error_code, beside.error_code) == (
            WORDS,
            "client_disconnected",
            "hedge_lost",
        )


async def test_the_end_of_the_process_settles_what_is_read_and_what_is_waited_for() -> None:
    async with world() as on:
        simulator = on.simulators["openai"]
        await on.leave(CHAT, "openai", "leaving-1")
        await until(lambda: len(on.served.plane.finishing) == 1)
        simulator.for_request["waiting-1"] = on.gated("openai")
        waiting = asyncio.create_task(on.ask(CHAT, "openai", "waiting-1"))
        await until(lambda: "waiting-1" in simulator.held)
        on.served.plane.give_up()
        answer = await waiting
        assert answer.status_code == 503
        on.served.plane.finishing.close()
        left, waited = await on.settled("leaving-1", "waiting-1")
        assert (left.status, waited.status, waited.http_status) == ("cancelled", "error", 503)
        for event in (left, waited):
            assert (0 < event.completion_tokens <= MOST, event.tokens_exact) == (True, False)
        await on.leave(CHAT, "openai", "leaving-2")
        (event,) = await on.settled("leaving-2")
        assert not event.tokens_exact, "nothing is read on any more"
