"""Rankings and moderations over real sockets: what goes upstream, what comes back, who pays."""

import json
from typing import Any

import httpx
import openai
import pytest
from gateway_parts import POISON, SECRET, Guard, Keys, Parts, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.contracts.routing import Policy
from sluice.errors import DependencyUnavailable, NotFound
from sluice_gateway.domain.limits import LevelLimits
from sluice_gateway.domain.ports import KeyRecord

RERANK, MODERATIONS = "/v1/rerank", "/v1/moderations"
ASKED = {"model": "ranker", "query": "red fox", "documents": ["a blue whale", "a red fox", {"text": "a red car"}]}


def routing(provider: Provider, **changes: Any) -> Any:
    return snapshot(
        model("ranker", deployment("d1", provider.base_url, upstream_model="vendor/ranker"), kind="rerank", **changes),
        model("small", deployment("d2", provider.base_url)),
        model("claude", deployment("d3", provider.base_url, provider="anthropic"), kind="rerank"),
        policies=(Policy(name="guarded", guard_input="enforce", guard_policy="strict"),),
    )


async def test_a_ranking_is_answered_sorted_and_billed(provider: Provider, client: httpx.AsyncClient) -> None:
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(gateway.url + RERANK, json={**ASKED, "top_n": 2, "max_chunks_per_doc": 3})
    assert provider.seen[0].path == "/v1/rerank"
    assert provider.seen[0].json == {**ASKED, "model": "vendor/ranker", "top_n": 2, "max_chunks_per_doc": 3}
    found = answer.json()
    assert found["model"] == "ranker"
    assert [(row["index"], row["relevance_score"]) for row in found["results"]] == [(1, 1.0), (2, 0.5)]
    assert found["results"][1]["document"] == {"text": "a red car"}
    assert found["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    assert float(answer.headers["x-sluice-cost"]) == pytest.approx(9e-6)
    event = gateway.parts.usage.events[0]
    assert (event.endpoint, event.prompt_tokens, event.completion_tokens, event.tokens_exact) == (RERANK, 9, 0, True)
    async with serving(Parts(), routing(provider)) as gateway:  # Cohere's newer client
        newer = await client.post(gateway.url + "/v2/rerank", json={**ASKED, "top_n": 2, "max_tokens_per_doc": 99})
    assert newer.json()["results"] == found["results"]
    assert provider.seen[-1].path == "/v1/rerank"


@pytest.mark.parametrize(("wanted", "document"), [(False, None), (True, {"text": "a red fox"})])
async def test_documents_come_back_when_they_are_asked_for(
    wanted: bool, document: Any, provider: Provider, client: httpx.AsyncClient
) -> None:
    # Jina's and Cohere's servers, and llama.cpp's, differ in what they send by themselves.
    rows = [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]
    body = {"results": rows, "meta": {"tokens": {"input_tokens": 12.0}}}
    provider.next(Behaviour(body=json.dumps(body).encode()))
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(gateway.url + RERANK, json={**ASKED, "return_documents": wanted, "top_n": 1})
    found = answer.json()
    assert [row.get("document") for row in found["results"]] == [document]
    assert found["usage"]["total_tokens"] == 12


async def test_a_guard_reads_the_query_and_every_document(provider: Provider, client: httpx.AsyncClient) -> None:
    async with serving(Parts(), routing(provider, policy="guarded")) as gateway:
        asked = {"model": "ranker", "query": "who", "documents": [f"mail {SECRET}", {"text": "x", "id": 7}]}
        answer = await client.post(gateway.url + RERANK, json={**asked, "return_documents": True})
        blocked = await client.post(gateway.url + RERANK, json={**asked, "documents": ["x", POISON]})
    assert [segment.text for segment in gateway.parts.guard.asked[0].segments or ()] == ["who", f"mail {SECRET}", "x"]
    assert provider.seen[0].json["documents"] == ["mail [EMAIL]", {"text": "x", "id": 7}]
    assert SECRET not in answer.text
    assert (blocked.status_code, blocked.json()["error"]["code"]) == (400, "content_filter")
    assert len(provider.seen) == 1


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"query": ""}, 400, "query"),
        ({"query": ["a"]}, 400, "query"),
        ({"documents": []}, 400, "documents"),
        ({"documents": "x"}, 400, "documents"),
        ({"documents": ["x", 1]}, 400, "documents[1]"),
        ({"documents": ["x"] * 10_001}, 400, "documents"),
        ({"top_n": 0}, 400, "top_n"),
        ({"top_n": True}, 400, "top_n"),
        ({"return_documents": 1}, 400, "return_documents"),
        ({"stream": True}, 400, "stream"),
        ({"model": "small"}, 400, "model"),
        ({"model": "claude"}, 400, "model"),
        ({"model": "none"}, 404, "model"),
    ],
)
async def test_what_is_no_ranking_is_refused(
    change: dict[str, Any], status: int, param: str, provider: Provider, client: httpx.AsyncClient
) -> None:
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(gateway.url + RERANK, json=ASKED | change)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param), error
    assert provider.seen == []


@pytest.mark.parametrize("rows", [None, [{"index": 9, "relevance_score": 1}], [{"index": 0}], ["x"]])
async def test_an_answer_that_is_no_ranking_is_a_failure(
    rows: Any, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.next(Behaviour(body=json.dumps({"results": rows}).encode()))
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(gateway.url + RERANK, json=ASKED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert gateway.parts.usage.events[0].status == "error"


async def test_moderations_are_the_guardrails(provider: Provider) -> None:
    parts = Parts(
        keys=Keys({b"Bearer sk-test": KeyRecord("k", "t", "n", models=frozenset({"small"}), policy="guarded")})
    )
    async with (
        serving(parts, routing(provider)) as gateway,
        openai.AsyncOpenAI(api_key="sk-test", base_url=gateway.url + "/v1") as api,
    ):
        one = await api.moderations.create(input="good morning")
        many = await api.moderations.create(model="omni-moderation-latest", input=["hello", POISON, "bye"])
        parts_of_one = await api.moderations.create(
            input=[{"type": "text", "text": "hello"}, {"type": "text", "text": f"mail {SECRET}"}]
        )
    assert not one.results[0].flagged
    assert not one.results[0].categories.hate
    assert one.results[0].category_scores.violence == 0
    assert len(many.results) == 3
    assert many.results[1].model_dump()["categories"]["prompt_injection"]
    assert [result.flagged for result in parts_of_one.results] == [True]
    assert one.model == "sluice-guardrail"
    assert {request.policy for request in parts.guard.asked} == {"strict"}
    events = parts.usage.events
    assert [(event.endpoint, event.model, event.cost_usd) for event in events] == [(MODERATIONS, one.model, 0.0)] * 3
    assert provider.seen == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [1, 2, 3]}, "input[0]"),
        ({"input": [["a"]]}, "input[0]"),
        ({"input": [{"type": "text", "text": "a"}, "b"]}, "input[1]"),
        ({"input": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}, "input[0]"),
        ({"input": [{"type": "text"}]}, "input[0]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "model": 1}, "model"),
    ],
)
async def test_what_cannot_be_moderated_is_refused(
    body: Any, param: str, provider: Provider, client: httpx.AsyncClient
) -> None:
    async with serving(Parts(), routing(provider)) as gateway:
        answer = await client.post(gateway.url + MODERATIONS, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_moderation_without_the_guardrail_is_refused(provider: Provider, client: httpx.AsyncClient) -> None:
    for failing, status in ((DependencyUnavailable("away"), 503), (NotFound("There is no policy x; name one."), 400)):
        async with serving(Parts(guard=Guard(failing=failing)), routing(provider)) as gateway:
            answer = await client.post(gateway.url + MODERATIONS, json={"input": "x"})
        assert answer.status_code == status
        assert gateway.parts.usage.events[0].status == "error"


async def test_limits_count_rankings_and_moderations(provider: Provider, client: httpx.AsyncClient) -> None:
    limits = (LevelLimits("key", "key_1", 2, None, None, None, None),)
    parts = Parts(keys=Keys({b"Bearer sk-test": KeyRecord("key_1", "t", "n", limits=limits)}))
    async with serving(parts, routing(provider)) as gateway:
        codes = [
            (await client.post(gateway.url + path, json=body)).status_code
            for path, body in ((RERANK, ASKED), (MODERATIONS, {"input": "x"}), (MODERATIONS, {"input": "x"}))
        ]
    assert codes == [200, 200, 429]
