"""Answers from the cache, over real sockets: what is given again, to whom, and what is never kept."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from gateway_parts import Guard, Parts, Served, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sluice.contracts.routing import CachePolicy, Policy
from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.wire import GatewayProtocol
from sluice_gateway.domain.ports import KeyRecord

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "What is a fox?"}], "temperature": 0}
FREE = {"sluice": {"cost_usd": 0.0}}


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
        model("ranker", deployment("d3", provider.base_url), kind="rerank", policy="kept"),
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
        for changes in ({"top_p": 0.5}, {"seed": 1}, {"max_tokens": 5}, {"model": "guarded"}):
            assert said(await ask(client, gateway, **changes)) == "miss", changes
        assert said(await ask(client, gateway)) == "hit"
        assert said(await ask(client, gateway, model="plain")) == "none"


async def test_what_the_sluice_object_changes_of_an_answer_is_another_answer(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "required": ["age"]}}}
    async with cached(provider, Parts(options=Options(trace_ratio_direct=0.0)), any_temperature=True) as gateway:
        for preset in (None, "greedy", "creative"):
            drawn = {} if preset is None else {"sluice": {"sampling": preset}}
            first, second = [await ask(client, gateway, temperature=None, **drawn) for _ in range(2)]
            assert [said(first), said(second)] == ["miss", "hit"], preset
        provider.next(Behaviour(text="no JSON"), Behaviour(text='{"age": 1}'))
        for lax, text in (({"sluice": {"structured_output": "off"}}, "no JSON"), ({}, '{"age": 1}')):
            strict = await ask(client, gateway, response_format=form, **lax)
            assert (said(strict), strict.json()["choices"][0]["message"]["content"]) == ("miss", text)


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
        wrong = await client.post(gateway.url + CHAT, json=BODY, headers={"x-sluice-cache": "off"})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "x-sluice-cache")
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
        await ask(client, gateway, stream=True, seed=9)
        assert said(await ask(client, gateway, stream=True, seed=9)) == "miss"
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


async def asked(provider: Provider, times: int) -> None:
    async with asyncio.timeout(60):
        while len(provider.seen) < times:
            await asyncio.sleep(0.01)


async def test_when_the_one_that_asks_leaves_one_of_those_that_wait_asks_in_its_place(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    options = Options(trace_ratio_direct=0.0, watch_disconnect_after_s=0.02)
    async with cached(provider, Parts(options=options)) as gateway:
        for wishes in ({}, {"x-sluice-deadline-ms": "1500"}):
            provider.seen.clear()
            gate = asyncio.Event()
            provider.default = Behaviour(gate=gate)
            leader = asyncio.create_task(
                client.post(gateway.url + CHAT, json={**BODY, "seed": len(wishes)}, headers=wishes)
            )
            await asked(provider, 1)
            others = [asyncio.create_task(ask(client, gateway, seed=len(wishes))) for _ in range(8)]
            await asyncio.sleep(0.03)
            if not wishes:
                leader.cancel()
            await asked(provider, 2)
            gate.set()
            answers = await asyncio.gather(*others)
            await asyncio.gather(leader, return_exceptions=True)
            assert sorted(map(said, answers)) == ["hit"] * 7 + ["miss"], wishes
            assert len(provider.seen) == 2


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [orjson.loads(line) for line in lines]


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


@pytest.mark.parametrize("http", [GatewayProtocol, HttpToolsProtocol])
async def test_a_kept_stream_answers_a_whole_request(
    provider: Provider, client: httpx.AsyncClient, http: type[HttpToolsProtocol]
) -> None:
    async with cached(provider, Parts(http=http, options=Options(trace_ratio_direct=0.0))) as gateway:
        streamed = await ask(client, gateway, stream=True)
        whole = await ask(client, gateway)
        counted = await ask(client, gateway, stream=True, stream_options={"include_usage": True})
        asked = await ask(client, gateway, headers={"x-sluice-cache": "bypass"})
    assert [said(answer) for answer in (streamed, whole, counted)] == ["miss", "hit", "hit"]
    found, expected = whole.json(), asked.json()
    assert found["object"] == "chat.completion"
    assert found["choices"][0]["message"]["content"] == text_of(events(streamed))
    assert found["choices"][0]["finish_reason"] == "stop"
    assert {name: found["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")} == {
        name: expected["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
    *chunks, last = events(counted)
    assert chunks == events(streamed)
    assert (last["choices"], last["usage"]) == ([], found["usage"] | FREE)
    assert "sluice" not in found["usage"], "the head of a whole answer tells its cost"


async def test_a_kept_whole_answer_answers_a_stream(provider: Provider, client: httpx.AsyncClient) -> None:
    async with cached(provider) as gateway:
        whole = await ask(client, gateway)
        plain = await ask(client, gateway, stream=True)
        counted = await ask(client, gateway, stream=True, stream_options={"include_usage": True})
    assert [said(answer) for answer in (whole, plain, counted)] == ["miss", "hit", "hit"]
    assert plain.headers["content-type"].startswith("text/event-stream")
    chunks = events(plain)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert len(chunks) > 4
    assert text_of(chunks) == whole.json()["choices"][0]["message"]["content"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-2:] == [None, "stop"]
    assert {(chunk["id"], chunk["object"]) for chunk in chunks} == {(whole.json()["id"], "chat.completion.chunk")}
    *before, last = events(counted)
    assert before == chunks
    assert (last["choices"], last["usage"]) == ([], whole.json()["usage"] | FREE)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_with_a_sluice_object_shares_answers_and_gets_an_object_of_its_own(
    provider: Provider, client: httpx.AsyncClient, *, stream: bool
) -> None:
    async with cached(provider) as gateway:
        first = await ask(client, gateway, stream=stream, sluice={}, headers={"x-request-id": "first-request"})
        again = await ask(client, gateway, stream=stream, sluice={}, headers={"x-request-id": "second-request"})
        plain = await ask(client, gateway, stream=stream)
        guarded = await ask(client, gateway, stream=stream, sluice={"policy": "guarded"})
    assert [said(answer) for answer in (first, again, plain, guarded)] == ["miss", "hit", "hit", "miss"]
    if stream:
        (*_, one), (*_, other) = events(first), events(again)
        assert not any("sluice" in chunk for chunk in events(plain))
        assert events(first)[:-1] == events(again)[:-1] == events(plain)
    else:
        one, other = first.json(), again.json()
        assert {**one, "sluice": None} == {**other, "sluice": None} == {**plain.json(), "sluice": None}
        assert "sluice" not in plain.json()
    assert one["sluice"] == {**other["sluice"], "request_id": "first-request"}
    assert other["sluice"]["request_id"] == "second-request"
    assert other["sluice"]["model"] == "small"


async def embed(client: httpx.AsyncClient, gateway: Served, inputs: object, **changes: Any) -> httpx.Response:
    body = {"model": "vectors", "input": inputs, **changes}
    answer = await client.post(gateway.url + "/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def lengths(answer: httpx.Response) -> list[tuple[int, int]]:
    return [(one["index"], one["embedding"][1]) for one in answer.json()["data"]]


@pytest.mark.parametrize("http", [GatewayProtocol, HttpToolsProtocol])
async def test_of_a_list_of_inputs_only_the_missing_ones_go_to_the_model(
    provider: Provider, client: httpx.AsyncClient, http: type[HttpToolsProtocol]
) -> None:
    async with cached(provider, Parts(http=http, options=Options(trace_ratio_direct=0.0))) as gateway:
        first = await embed(client, gateway, ["a", "bbb"])
        mixed = await embed(client, gateway, ["cc", "bbb", "dddd", "cc", "a"], user="somebody")
        again = await embed(client, gateway, ["bbb", "dddd"])
        single = await embed(client, gateway, "cc")
        other = await embed(client, gateway, ["a", "cc"], dimensions=1)
    assert [seen.json["input"] for seen in provider.seen] == [["a", "bbb"], ["cc", "dddd"], ["a", "cc"]]
    assert [said(answer) for answer in (first, mixed, again, single, other)] == [
        "miss",
        "partial",
        "hit",
        "hit",
        "miss",
    ]
    assert mixed.headers["x-sluice-cache"] == "partial; hits=2; of=5"
    assert lengths(mixed) == [(0, 2), (1, 3), (2, 4), (3, 2), (4, 1)]
    assert lengths(again) == [(0, 3), (1, 4)]
    assert lengths(single) == [(0, 2)]
    # 8 tokens for each two inputs that the model read, shared by length: a 2, bbb 6; cc 2, dddd 6
    assert mixed.json()["usage"] == {"prompt_tokens": 18, "total_tokens": 18}
    assert again.json()["usage"] == {"prompt_tokens": 12, "total_tokens": 12}
    assert [event.prompt_tokens for event in gateway.parts.usage.events] == [8, 8, 0, 0, 8]
    assert float(mixed.headers["x-sluice-cost"]) == float(first.headers["x-sluice-cost"]) > 0
    assert float(mixed.headers["x-sluice-saved-cost"]) == pytest.approx(float(first.headers["x-sluice-cost"]))
    assert again.headers["x-sluice-cost"] == "0"


async def test_lists_of_tokens_are_kept_by_the_input_too(provider: Provider, client: httpx.AsyncClient) -> None:
    async with cached(provider) as gateway:
        assert said(await embed(client, gateway, [[1, 2], [3]])) == "miss"
        assert said(await embed(client, gateway, [1, 2])) == "hit"
        assert said(await embed(client, gateway, [[3], [1, 2], [3]])) == "hit"
        assert said(await embed(client, gateway, ["1", "2"])) == "miss"


async def test_an_answer_to_another_number_of_inputs_is_an_error_and_not_kept(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
    async with cached(provider) as gateway:
        provider.next(Behaviour(body=orjson.dumps({"object": "list", "data": [vector], "usage": {"prompt_tokens": 1}})))
        body = {"model": "vectors", "input": ["a", "b"]}
        answer = await client.post(gateway.url + "/v1/embeddings", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "wrong_number_of_answers")
        provider.next(Behaviour(status=400))
        assert (await client.post(gateway.url + "/v1/embeddings", json=body)).status_code == 400
        assert said(await embed(client, gateway, ["a", "b"])) == "miss"


async def test_equal_lists_at_once_ask_the_model_once(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.default = Behaviour(stall_s=0.3)
    async with cached(provider) as gateway:
        answers = await asyncio.gather(*(embed(client, gateway, ["a", "bb"]) for _ in range(5)))
    assert sorted(map(said, answers)) == ["hit"] * 4 + ["miss"]
    assert len({answer.content for answer in answers}) == 1
    assert len(provider.seen) == 1


async def test_rankings_are_kept_as_long_as_results_of_functions_are(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    asks: dict[str, Any] = {"model": "ranker", "query": "fox", "documents": ["a fox", "a dog"], "top_n": 1}
    async with cached(provider, functions_ttl_s=1) as gateway:
        answers = [await client.post(gateway.url + "/v1/rerank", json=asks) for _ in range(2)]
        answers.append(await client.post(gateway.url + "/v1/rerank", json={**asks, "query": "dog"}))
        answers.append(await client.post(gateway.url + "/v1/rerank", json={**asks, "documents": ["a dog", "a fox"]}))
        await asyncio.sleep(1.05)
        answers.append(await client.post(gateway.url + "/v1/rerank", json=asks))
    assert [said(answer) for answer in answers] == ["miss", "hit", "miss", "miss", "miss"]
    assert answers[0].content == answers[1].content
    assert len(provider.seen) == 4


async def test_evidence_is_kept_as_long_as_its_stores_are_the_same(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    parts = Parts(options=Options(trace_ratio_direct=0.0))
    parts.keys.known[b"Bearer sk-other"] = KeyRecord("key_2", "tenant-b", "other")
    drawn = {"temperature": 1, "sluice": {"retrieval": {"vector_store_ids": ["vs_1"]}}}
    async with cached(provider, parts) as gateway:

        async def asked(key: str = "sk-test", **headers: str) -> str | None:
            # Returns the version that retrieval was asked for; the evidence must be in the prompt either way.
            named = {"authorization": f"Bearer {key}"} | {name.replace("_", "-"): one for name, one in headers.items()}
            answer = await ask(client, gateway, headers=named, **drawn)
            assert answer.json()["sluice"]["citations"][0]["quote"] == "The port is 8080."
            assert parts.retrieval.text in str(provider.seen[-1].json["messages"])
            return parts.retrieval.asked[-1].known_version

        assert [await asked(), await asked()] == [None, "v1"]
        assert await asked("sk-other") is None, "another tenant shares nothing"
        assert await asked(x_sluice_cache="bypass") is None
        assert await asked(cache_control="no-cache") is None
        parts.retrieval.version, parts.retrieval.text = "v2", "[1] (manual.md) The port is 9090."
        assert [await asked(), await asked()] == ["v1", "v2"]
        parts.retrieval.version, parts.retrieval.degraded = "v3", ("reranker",)
        assert [await asked(), await asked()] == ["v2", "v2"], "what was found without the reranker is not kept"
        parts.retrieval.failing = DependencyUnavailable("away")
        answer = await client.post(gateway.url + CHAT, json={**BODY, **drawn})
        assert answer.status_code == 503, "nobody can say that it is still right"
    counted = parts.registry.registry.get_sample_value
    assert counted("sluice_gateway_evidence_total", {"outcome": "kept"}) == 2
    assert counted("sluice_gateway_evidence_total", {"outcome": "found"}) == 6
    assert len(provider.seen) == 9, "each answer is drawn anew"


async def test_an_answer_that_other_rules_let_pass_is_made_anew(provider: Provider, client: httpx.AsyncClient) -> None:
    guard = Guard()
    async with cached(provider, Parts(guard=guard)) as gateway:
        first = [await ask(client, gateway, model="guarded") for _ in range(2)]
        guard.rules = "changed"
        then = [await ask(client, gateway, model="guarded") for _ in range(2)]
    assert [said(answer) for answer in (*first, *then)] == ["miss", "hit", "miss", "hit"]
