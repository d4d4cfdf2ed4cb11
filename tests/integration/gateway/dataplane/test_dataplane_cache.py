"""Answers from the cache, over real sockets: what is given again, to whom, and what is never kept."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sluice.contracts.routing import CachePolicy, Policy
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.wire import GatewayProtocol
from sluice_gateway.domain.ports import KeyRecord

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "What is a fox?"}], "temperature": 0}


@asynccontextmanager
async def cached(provider: Provider, parts: Parts | None = None, **changes: Any) -> AsyncIterator[Served]:
    policies = (
        Policy(name="kept", cache=CachePolicy(**changes)),
        Policy(name="guarded", guard_input="enforce", guard_output="enforce", cache=CachePolicy(**changes)),
    )
    place = deployment("d1", provider.base_url)
    routing = snapshot(
        model("small", place, policy="kept"),
        model("guarded", place, policy="guarded"),
        model("plain", place),
        model("vectors", deployment("d2", provider.base_url), kind="embedding", policy="kept"),
        policies=policies,
    )
    async with serving(parts or Parts(options=Options(trace_ratio_direct=0.0)), routing) as gateway:
        yield gateway


async def ask(client: httpx.AsyncClient, gateway: Served, path: str = CHAT, /, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:  # fmt: skip
    answer = await client.post(gateway.url + path, json={**BODY, **changes}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def said(answer: httpx.Response) -> str:
    return answer.headers.get("x-sluice-cache", "none").split(";")[0]


@pytest.mark.parametrize("http", [GatewayProtocol, HttpToolsProtocol])
@pytest.mark.parametrize("name", ["small", "guarded"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_equal_request_gets_the_same_bytes_and_costs_nothing(
    provider: Provider, client: httpx.AsyncClient, http: type[HttpToolsProtocol], name: str, stream: bool
) -> None:
    async with cached(provider, Parts(http=http, options=Options(trace_ratio_direct=0.0))) as gateway:
        first = await ask(client, gateway, model=name, stream=stream)
        second = await ask(client, gateway, model=name, stream=stream, user="another", metadata={"a": "b"})
    assert [said(first), said(second)] == ["miss", "hit"]
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["x-sluice-cost"] == "0"
    assert len(provider.seen) == 1
    paid, free = gateway.parts.usage.events
    assert paid.cost_usd > 0
    assert (free.cost_usd, free.prompt_tokens, free.deployment, free.status) == (0.0, 0, None, "ok")
    assert float(second.headers["x-sluice-saved-cost"]) == pytest.approx(paid.cost_usd, abs=1e-9)


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/v1/embeddings", {"model": "vectors", "input": "x"}),
        ("/v1/completions", {"prompt": "x"}),
        ("/v1/messages", {"max_tokens": 50}),
        ("/v1/messages", {"max_tokens": 50, "stream": True}),
        ("/v1/responses", {"input": "x"}),
    ],
)
async def test_every_api_is_kept(
    provider: Provider, client: httpx.AsyncClient, path: str, changes: dict[str, Any]
) -> None:
    async with cached(provider) as gateway:
        body = {
            name: value for name, value in {**BODY, **changes}.items() if name != "messages" or path == "/v1/messages"
        }
        answers = [await client.post(gateway.url + path, json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert [said(answer) for answer in answers] == ["miss", "hit"]
    cost = re.compile(rb'(?<="sluice":{"cost_usd":)[^}]+')
    assert bool(cost.search(answers[1].content)) == ("stream" in changes)
    assert answers[1].content == cost.sub(b"0.0", answers[0].content), "what is given again costs nothing"


async def test_what_changes_the_answer_is_another_answer(provider: Provider, client: httpx.AsyncClient) -> None:
    async with cached(provider) as gateway:
        await ask(client, gateway)
        for changes in ({"top_p": 0.5}, {"seed": 1}, {"max_tokens": 5}, {"model": "guarded"}, {"stream": True}):
            assert said(await ask(client, gateway, **changes)) == "miss", changes
        assert said(await ask(client, gateway)) == "hit"
        assert said(await ask(client, gateway, model="plain")) == "none"


async def test_tenants_never_share_and_keys_do_unless_the_scope_is_narrower(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    for scope, outcome in (("tenant", "hit"), ("key", "miss")):
        parts = Parts(options=Options(trace_ratio_direct=0.0))
        own = parts.keys.known[b"Bearer sk-test"]
        parts.keys.known[b"Bearer sk-colleague"] = replace_key(own, key_id="key_2")
        parts.keys.known[b"Bearer sk-stranger"] = replace_key(own, key_id="key_3", tenant="tenant-b")
        async with cached(provider, parts, scope=scope) as gateway:
            await ask(client, gateway)
            colleague = await ask(client, gateway, headers={"authorization": "Bearer sk-colleague"})
            stranger = await ask(client, gateway, headers={"authorization": "Bearer sk-stranger"})
        assert [said(colleague), said(stranger)] == [outcome, "miss"]


def replace_key(record: KeyRecord, **changes: Any) -> KeyRecord:
    return record._replace(**changes) if hasattr(record, "_replace") else replace(record, **changes)


async def test_headers_and_chance_decide(provider: Provider, client: httpx.AsyncClient) -> None:
    async with cached(provider) as gateway:
        assert said(await ask(client, gateway, temperature=1)) == "bypass"
        assert said(await ask(client, gateway, headers={"x-sluice-cache": "on"}, temperature=1)) == "miss"
        assert said(await ask(client, gateway, headers={"x-sluice-cache": "on"}, temperature=1)) == "hit"
        assert said(await ask(client, gateway, headers={"cache-control": "no-store"})) == "bypass"
        assert said(await ask(client, gateway, headers={"cache-control": "no-cache"})) == "miss"
        assert said(await ask(client, gateway, headers={"cache-control": "max-age=60"})) == "hit"
        assert said(await ask(client, gateway, headers={"cache-control": "max-age=0"})) == "miss"
        assert said(await ask(client, gateway, headers={"x-sluice-cache": "refresh"})) == "miss"
        assert said(await ask(client, gateway, headers={"x-sluice-cache": "bypass"})) == "bypass"
    async with cached(provider, use="on_request") as gateway:
        assert said(await ask(client, gateway)) == "bypass"
        assert said(await ask(client, gateway, headers={"x-sluice-cache": "on"})) == "miss"
        assert said(await ask(client, gateway, headers={"x-sluice-cache": "on"})) == "hit"


async def test_errors_and_broken_streams_are_never_kept(provider: Provider, client: httpx.AsyncClient) -> None:
    async with cached(provider) as gateway:
        provider.next(Behaviour(status=400))
        assert (await client.post(gateway.url + CHAT, json=BODY)).status_code == 400
        assert said(await ask(client, gateway)) == "miss"
        provider.next(Behaviour(cut_after=3))
        await ask(client, gateway, stream=True)
        assert said(await ask(client, gateway, stream=True)) == "miss"
        tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        for _ in range(2):
            provider.next(Behaviour(tool_arguments='{"a": 1}'))
            assert said(await ask(client, gateway, tools=tools)) == "miss"


async def test_equal_requests_at_once_ask_the_model_once(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(stall_s=0.3)
    async with cached(provider) as gateway:
        answers = await asyncio.gather(*(ask(client, gateway) for _ in range(20)))
        assert sorted(map(said, answers)) == ["hit"] * 19 + ["miss"]
        assert len({answer.content for answer in answers}) == 1
        assert len(provider.seen) == 1
        provider.next(Behaviour(status=400))
        outcomes = await asyncio.gather(*(client.post(gateway.url + CHAT, json={**BODY, "seed": 7}) for _ in range(5)))
    assert sorted(answer.status_code for answer in outcomes) == [200, 200, 200, 200, 400]
