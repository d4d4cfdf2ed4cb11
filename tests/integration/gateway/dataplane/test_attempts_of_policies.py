"""Time-outs, attempts and hedging that a policy sets, for a model and for a route."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from gateway_parts import Parts, Router, Served, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.contracts.routing import AttemptPolicy, Policy, Route
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.domain.latencies import ENOUGH, Latencies

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "small", "max_tokens": 50, "messages": [{"role": "user", "content": "What is a fox?"}]}
SLOW = Behaviour(stall_s=60.0)
BROKEN = Behaviour(status=500)


class World(NamedTuple):
    """A model and a route to it, on two deployments; the first is asked first."""

    served: Served
    first: Provider
    second: Provider
    client: httpx.AsyncClient

    async def ask(self, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        return await self.client.post(self.served.url + CHAT, json={**BODY, **fields}, headers=headers)

    @property
    def asked(self) -> tuple[int, int]:
        return len(self.first.seen), len(self.second.seen)


@asynccontextmanager
async def world(
    first: Behaviour, of_model: AttemptPolicy, of_route: AttemptPolicy | None = None
) -> AsyncIterator[World]:
    policies = (Policy(name="m", attempts=of_model), Policy(name="r", attempts=of_route))
    parts = Parts(router=Router(model="small"), options=Options(trace_ratio_direct=0.0, cooldown_s=0.0, given_up_s=0.0))
    async with (
        Provider(first) as one,
        Provider() as two,
        httpx.AsyncClient(headers={"authorization": "Bearer sk-test"}, timeout=60) as client,
    ):
        places = (
            deployment("d1", one.base_url, timeout_s=20, weight=1000),
            deployment("d2", two.base_url, timeout_s=20),
        )
        routing = snapshot(
            model("small", *places, policy="m"),
            routes=(Route(name="auto", candidates=("small",), policy="r"),),
            policies=policies,
        )
        async with serving(parts, routing) as served:
            yield World(served, one, two, client)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_policys_times_hold_for_each_attempt_and_a_caller_may_only_shorten_them(stream: bool) -> None:
    said = AttemptPolicy(timeout_s=0.5, first_byte_timeout_s=0.5)
    async with world(SLOW, said) as found:
        answer = await found.ask({"x-sluice-attempt": "timeout-ms=15000, first-byte-ms=15000"}, stream=stream)
        assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "d2")
        assert found.asked == (1, 1)


@pytest.mark.parametrize("name", ["small", "auto"])
async def test_a_policy_bounds_attempts_and_rounds(name: str) -> None:
    async with world(BROKEN, AttemptPolicy(max_attempts=1)) as found:
        assert (await found.ask(model=name)).status_code == 502
        assert found.asked == (1, 0)
    async with world(BROKEN, AttemptPolicy(retries=0)) as found:
        found.second.default = BROKEN
        assert (await found.ask(model=name)).status_code == 502
        assert found.asked == (1, 1)


async def test_of_a_routes_policy_and_its_models_the_shorter_times_count() -> None:
    long, short = AttemptPolicy(timeout_s=15, max_attempts=2), AttemptPolicy(timeout_s=0.5, retries=0)
    for of_model, of_route in ((long, short), (short, long)):
        async with world(SLOW, of_model, of_route) as found:
            answer = await found.ask(model="auto")
            assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "d2")


async def test_a_policy_hedges_after_a_time() -> None:
    async with world(SLOW, AttemptPolicy(hedge_after_ms=50)) as found:
        assert (await found.ask()).headers["x-sluice-deployment"] == "d2"
    async with world(SLOW, AttemptPolicy(hedge_after_ms=50, max_attempts=1, timeout_s=0.5)) as found:
        assert (await found.ask()).status_code == 504, "one attempt is one attempt"
        assert found.asked == (1, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_policy_hedges_after_what_the_deployments_requests_usually_take(stream: bool) -> None:
    async with world(Behaviour(), AttemptPolicy(hedge_percentile=95)) as found:
        for _ in range(ENOUGH):
            assert (await found.ask(stream=stream)).headers["x-sluice-deployment"] == "d1"
        found.first.default = SLOW
        slow = await found.ask(stream=stream)
        assert (slow.status_code, slow.headers["x-sluice-deployment"]) == (200, "d2")
        state = found.served.plane._table.models["small"].deployments[0]
        assert state.in_flight == 0
        assert state.watched(streamed=not stream).quantile(0.5) is None, "streams and whole answers are watched apart"


def test_a_quantile_is_of_the_latest_and_needs_enough_of_them() -> None:
    seen = Latencies()
    for seconds in range(ENOUGH - 1):
        seen.note(seconds)
    assert seen.quantile(0.95) is None
    seen.note(ENOUGH - 1)
    assert (seen.quantile(0.95), seen.quantile(0.5)) == (19, 10)
    for _ in range(1000):
        seen.note(7.0)
    assert seen.quantile(0.95) == 7.0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("header", "rested"), [("timeout-ms=20, first-byte-ms=20", False), ("idle-ms=60000", True)])
async def test_a_caller_in_a_hurry_does_not_rest_a_deployment_for_others(
    stream: bool, header: str, rested: bool
) -> None:
    async with world(Behaviour(stall_s=0.3), AttemptPolicy(timeout_s=0.15, first_byte_timeout_s=0.15)) as found:
        found.second.default = Behaviour(stall_s=0.3)
        answer = await found.ask({"x-sluice-attempt": header}, stream=stream)
        assert answer.status_code == 504
        states = found.served.plane._table.models["small"].deployments
        assert [state.failures > 0 for state in states] == [rested, rested]
