"""Requests that ask a second deployment when the first takes long: who answers, what it costs, and what is stopped.

The gateway is set to read no answer on that nobody waits for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from gateway_parts import Keys, Parts, Served, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider
from tests.unit.gateway.limits.test_limiter import limits

from sluice.testing.clock import EarlyClock
from sluice_gateway.dataplane.context import read_heads
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.dataplane.stages.attempt import Answer
from sluice_gateway.dataplane.stages.hedge import Hedge
from sluice_gateway.dataplane.table import CHAT as CHAT_ENDPOINT
from sluice_gateway.dataplane.upstream import UpstreamReply
from sluice_gateway.domain.leases import nano_dollars
from sluice_gateway.domain.ports import KeyRecord

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "small", "max_tokens": 50, "messages": [{"role": "user", "content": "What is a fox?"}]}
SLOW = Behaviour(stall_s=60.0)
SOON = {"x-sluice-attempt": "hedge-ms=50"}


class World(NamedTuple):
    """A model on two deployments; the first is asked first."""

    served: Served
    first: Provider
    second: Provider
    client: httpx.AsyncClient

    async def ask(self, headers: dict[str, str], **fields: Any) -> httpx.Response:
        return await self.client.post(self.served.url + CHAT, json={**BODY, **fields}, headers=headers)

    def hedges(self, outcome: str) -> float:
        text = self.served.parts.registry.render()[0].decode()
        name = f'sluice_gateway_hedges_total{{model="small",outcome="{outcome}"}} '
        return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0.0)


@asynccontextmanager
async def world(*, limited: bool = False, spare: str | None = None, **changes: Any) -> AsyncIterator[World]:
    keys = Keys()
    if limited:
        level = limits(max_concurrent=10, budget_per_day_usd=1.0, tokens_per_minute=1_000_000)
        keys = Keys({b"Bearer sk-test": KeyRecord("key_1", "tenant-a", "test", limits=(level,))})
    parts = Parts(
        keys=keys, options=Options(trace_ratio_direct=0.0, cooldown_s=0.0, given_up_s=0.0), clock=EarlyClock()
    )
    async with (
        Provider(SLOW) as first,
        Provider() as second,
        httpx.AsyncClient(headers={"authorization": "Bearer sk-test"}, timeout=60) as client,
    ):
        places = (
            deployment("d1", first.base_url, timeout_s=60, weight=1000),
            deployment("d2", second.base_url, timeout_s=60),
        )
        models = [model("small", *places, **changes)]
        if spare is not None:
            models.append(model(spare, deployment("d3", second.base_url)))
        async with serving(parts, snapshot(*models)) as served:
            yield World(served, first, second, client)
            states = served.plane._table.models["small"].deployments
            assert [state.in_flight for state in states] == [0, 0]
            assert (served.plane.direct, len(served.plane._disconnects)) == (0, 0)


async def until(check: Any) -> None:
    async with asyncio.timeout(60):
        while not check():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("headers", [SOON, {}], ids=["header", "model"])
async def test_the_second_answers_and_the_first_is_stopped_and_counted(stream: bool, headers: dict[str, str]) -> None:
    async with world(limited=True, **({} if headers else {"hedge_after_ms": 50})) as on:
        answer = await on.ask(headers, stream=stream)
        assert (answer.status_code, answer.headers["x-sluice-deployment"], answer.headers["x-sluice-attempts"]) == (
            200,
            "d2",
            "2",
        )
        if stream:
            assert answer.text.endswith("data: [DONE]\n\n")
        await until(lambda: on.first.aborted == 1)
        lost, won = on.served.parts.usage.events
        assert (won.deployment, won.status, won.tokens_exact) == ("d2", "ok", True)
        assert (lost.deployment, lost.status, lost.error_code) == ("d1", "cancelled", "hedge_lost")
        assert lost.request_id == f"{won.request_id}-hedge"
        assert lost.event_id != won.event_id
        assert (lost.prompt_tokens > 0, lost.tokens_exact) == (True, False)
        assert lost.completion_tokens == 0 if stream else 0 < lost.completion_tokens <= 50
        assert on.hedges("won") == 1
        draws = on.served.plane.limits._gates["key_1"].draws
        (money,), (slot,) = draws.money, draws.slots
        assert money.used == money.spent == nano_dollars(lost.cost_usd) + nano_dollars(won.cost_usd)
        assert slot.used == 0


async def test_an_answer_in_time_needs_no_second_call() -> None:
    async with world() as on:
        on.first.default = Behaviour()
        answer = await on.ask({"x-sluice-attempt": "hedge-ms=30000"})
        assert answer.headers["x-sluice-deployment"] == "d1"
        assert on.second.seen == []
        assert [event.status for event in on.served.parts.usage.events] == ["ok"]


async def test_the_first_may_answer_first_after_all() -> None:
    async with world() as on:
        on.first.default, on.second.default = Behaviour(stall_s=0.5), SLOW
        answer = await on.ask(SOON)
        assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "d1")
        await until(lambda: on.second.aborted == 1)
        assert on.hedges("lost") == 1


async def test_a_second_that_fails_leaves_the_first_to_answer() -> None:
    async with world() as on:
        on.first.default, on.second.default = Behaviour(stall_s=0.5), Behaviour(status=500)
        answer = await on.ask(SOON)
        assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "d1")
        assert [event.status for event in on.served.parts.usage.events] == ["ok"], "a failure costs nothing"


async def test_two_that_fail_leave_it_to_the_fallback() -> None:
    async with world(spare="spare", fallbacks=("spare",)) as on:
        on.first.default = Behaviour(stall_s=0.2, status=500)
        on.second.next(Behaviour(status=500))
        answer = await on.ask(SOON)
        assert (answer.status_code, answer.headers["x-sluice-model"]) == (200, "spare")


async def test_a_refusal_of_the_callers_parameters_ends_both() -> None:
    async with world() as on:
        on.second.default = Behaviour(status=400, body=b'{"error":{"message":"top_k must be positive"}}')
        answer = await on.ask(SOON)
        assert answer.status_code == 400
        await until(lambda: on.first.aborted == 1)
        lost, refused = on.served.parts.usage.events
        assert (lost.deployment, lost.error_code, lost.prompt_tokens > 0) == ("d1", "hedge_lost", True)
        assert (refused.status, refused.prompt_tokens) == ("error", 0)


async def test_an_answer_that_comes_beside_a_refusal_frees_its_deployment_once() -> None:
    async with world(hedge_after_ms=1) as on:
        plane, loop = on.served.plane, asyncio.get_running_loop()
        entry = plane._table.models["small"]

        async def attempt(ctx: Any, _entry: Any, state: Any) -> Any:
            ctx.race.joined(state, ctx.call)
            await both
            if state.id == "d1":
                raise InvalidRequest("no")
            state.in_flight += 1
            ctx.deployment = state
            return Answer(UpstreamReply(200, b"", None, b"", None), {}, None, None)

        hedge = Hedge(plane._deps, plane.limits, attempt)
        for _ in range(8):  # which of two that end at once is seen first is chance
            both = loop.create_future()
            loop.call_later(0.01, both.set_result, None)
            heads = read_heads([(b"authorization", b"Bearer sk-test")])
            ctx = plane.admit(CHAT_ENDPOINT, heads, 0.0, plane.open(heads), orjson.dumps(BODY))
            with suppress(InvalidRequest):
                await hedge(ctx, entry, entry.deployments[0], 0.001)
            if ctx.deployment is not None:
                ctx.deployment.in_flight -= 1  # as each request does at its end
            assert [state.in_flight for state in entry.deployments] == [0, 0]


async def test_a_client_that_leaves_stops_both() -> None:
    async with world() as on:
        on.second.default = SLOW
        asked = asyncio.create_task(on.ask(SOON))
        await until(lambda: on.first.seen and on.second.seen)
        asked.cancel()
        await asyncio.wait([asked])
        await until(lambda: on.first.aborted + on.second.aborted == len(on.first.seen) + len(on.second.seen))
        await until(lambda: on.served.parts.usage.events)
        called = len(on.first.seen) + len(on.second.seen)
        assert [event.status for event in on.served.parts.usage.events] == ["cancelled"] * called
        assert all(event.prompt_tokens > 0 for event in on.served.parts.usage.events), "each has read the prompt"


async def test_hedges_are_bounded_like_retries() -> None:
    async with world() as on:
        on.first.default = Behaviour(stall_s=0.3)
        answers = await asyncio.gather(*(on.ask(SOON) for _ in range(16)))
        assert {answer.status_code for answer in answers} == {200}
        # ten, and a fifth of the requests that were answered
        assert on.hedges("no_budget") > 0
        assert on.hedges("won") + on.hedges("lost") + on.hedges("no_budget") <= 16
