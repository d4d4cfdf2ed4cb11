"""How sure a model was of an answer: told, or refused, from log-probabilities and from several answers."""

import json
import math
from typing import Any

import httpx
import pytest
from gateway_parts import Parts, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.contracts.judging import ConfidencePolicy
from sluice.contracts.retrieval import RetrievalPolicy
from sluice.contracts.routing import CachePolicy, Policy, RoutingSnapshot

CHAT = "/v1/chat/completions"


def routing(provider: Provider, **confidence: Any) -> RoutingSnapshot:
    policy = Policy(name="sure", confidence=ConfidencePolicy(**confidence))
    return snapshot(model("small", deployment("d1", provider.base_url), policy="sure"), policies=(policy,))


def answer(*texts: str, probabilities: tuple[float, ...] = ()) -> Behaviour:
    """Return an answer of some choices, whose first tells the probability of each token."""
    tokens = [{"token": "x", "logprob": math.log(one)} for one in probabilities]
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
            "logprobs": {"content": tokens} if tokens and index == 0 else None,
        }
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return Behaviour(
        body=json.dumps({"id": "c", "object": "chat.completion", "choices": choices, "usage": usage}).encode()
    )


async def ask(client: httpx.AsyncClient, url: str, **more: object) -> httpx.Response:
    return await client.post(
        url + CHAT, json={"model": "small", "messages": [{"role": "user", "content": "Hi"}], **more}
    )


async def test_probabilities_are_asked_for_and_told(provider: Provider, client: httpx.AsyncClient) -> None:
    async with serving(Parts(), routing(provider)) as gateway:
        provider.next(*(answer("It is 4", probabilities=one) for one in ((0.9, 0.9, 0.9), (0.9, 0.1), (0.9, 0.9))))
        sure, unsure = await ask(client, gateway.url), await ask(client, gateway.url)
        wanted = await ask(client, gateway.url, logprobs=True)
        nothing = await ask(client, gateway.url)
        assert provider.seen[0].json["logprobs"] is True
        assert "n" not in provider.seen[0].json
        assert (sure.headers["x-sluice-confidence"], unsure.headers["x-sluice-confidence"]) == ("0.90", "0.30")
        assert sure.json()["choices"][0]["logprobs"] is None, "nobody asked for them"
        assert wanted.json()["choices"][0]["logprobs"] is not None
        told = unsure.json()["sluice"]["confidence"]
        assert told == {"probability": 0.3, "lowest": 0.1, "perplexity": pytest.approx(3.3333), "agreement": None}
        assert "x-sluice-confidence" not in nothing.headers
        issues = [event.guard_issues for event in gateway.parts.usage.events]
        assert issues == [(), ("low_confidence",), (), ("unknown_confidence",)]


async def test_the_guard_hears_how_sure_the_model_was_of_an_answer_that_it_holds_against_documents(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    policy = Policy(
        name="sure",
        confidence=ConfidencePolicy(),
        groundedness="flag",
        guard_output="enforce",
        retrieval=RetrievalPolicy(vector_store_ids=("vs_1",)),
    )
    routes = snapshot(model("small", deployment("d1", provider.base_url), policy="sure"), policies=(policy,))
    async with serving(Parts(), routes) as gateway:
        provider.next(answer("The port is 8080.", probabilities=(0.9, 0.9)))
        assert (await ask(client, gateway.url)).status_code == 200
        assert gateway.parts.guard.asked[-1].confidence == pytest.approx(0.9)


async def test_an_answer_that_is_not_sure_enough_is_refused(provider: Provider, client: httpx.AsyncClient) -> None:
    async with serving(Parts(), routing(provider, action="refuse", min_probability=0.6)) as gateway:
        provider.next(answer("It is 4", probabilities=(0.9,)), answer("It is 5", probabilities=(0.5,)))
        sure, unsure = await ask(client, gateway.url), await ask(client, gateway.url)
        assert sure.json()["choices"][0]["message"]["content"] == "It is 4"
        (choice,) = unsure.json()["choices"]
        assert choice["message"]["content"] == "I'm not sure enough of the answer to give one."
        assert (choice["finish_reason"], unsure.headers["x-sluice-guard"]) == ("content_filter", "blocked")
        assert [event.status for event in gateway.parts.usage.events] == ["ok", "blocked"]


async def test_several_answers_are_compared_and_one_is_given(provider: Provider, client: httpx.AsyncClient) -> None:
    async with serving(Parts(), routing(provider, samples=2)) as gateway:
        provider.next(
            answer("It is 4", "it is 4.", "So it is 4", probabilities=(0.9,)),
            answer("It is 4", "It is 5", "It is 6", probabilities=(0.9,)),
        )
        same, different = await ask(client, gateway.url), await ask(client, gateway.url)
        assert provider.seen[0].json["n"] == 3
        assert [len(one.json()["choices"]) for one in (same, different)] == [1, 1]
        assert same.json()["sluice"]["confidence"]["agreement"] == pytest.approx((1 + 6 / 7) / 2, abs=1e-3)
        assert different.json()["sluice"]["confidence"]["agreement"] == 0.0
        assert [event.guard_issues for event in gateway.parts.usage.events] == [(), ("low_confidence",)]
        await ask(client, gateway.url, n=2)
        assert provider.seen[2].json["n"] == 2, "who asks for several answers gets them"


async def test_a_kept_answer_tells_again_how_sure_the_model_was(provider: Provider, client: httpx.AsyncClient) -> None:
    policy = Policy(
        name="sure", confidence=ConfidencePolicy(min_probability=0.6), cache=CachePolicy(any_temperature=True)
    )
    routes = snapshot(model("small", deployment("d1", provider.base_url), policy="sure"), policies=(policy,))
    async with serving(Parts(), routes) as gateway:
        provider.next(answer("It is 5", probabilities=(0.5,)))
        made = await ask(client, gateway.url)
        whole = await ask(client, gateway.url)
        streamed = await ask(client, gateway.url, stream=True)
        assert len(provider.seen) == 1
        assert (made.headers["x-sluice-cache"], whole.headers["x-sluice-cache"][:3]) == ("miss", "hit")
        assert [one.headers["x-sluice-confidence"] for one in (made, whole, streamed)] == ["0.50"] * 3
        assert whole.json()["sluice"]["confidence"] == made.json()["sluice"]["confidence"]
        assert whole.json()["sluice"]["guard_issues"] == ["low_confidence"]
        assert '"confidence":{"probability":0.5' in streamed.text
        assert [event.guard_issues for event in gateway.parts.usage.events] == [("low_confidence",)] * 3
