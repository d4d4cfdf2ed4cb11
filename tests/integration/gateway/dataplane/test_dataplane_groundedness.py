"""Answers that are held against what retrieval found for them: told, or refused, whole and streamed."""

import json

import httpx
import pytest
from gateway_parts import Guard, Parts, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.contracts.judging import JudgedMode
from sluice.contracts.retrieval import RetrievalPolicy
from sluice.contracts.routing import CachePolicy, GuardMode, Policy, RoutingSnapshot
from sluice.errors import DependencyUnavailable

CHAT = "/v1/chat/completions"
RIGHT, WRONG = "The port is 8080, as the manual says.", "The port is 9090, as the manual says."


def routing(provider: Provider, mode: JudgedMode, output: GuardMode, *, fail: str = "closed") -> RoutingSnapshot:
    policy = Policy.model_validate(
        {
            "name": "docs",
            "groundedness": mode,
            "guard_output": output,
            "on_guard_error": fail,
            "retrieval": RetrievalPolicy(vector_store_ids=("vs_1",)),
        }
    )
    return snapshot(model("small", deployment("d1", provider.base_url), policy="docs"), policies=(policy,))


async def ask(client: httpx.AsyncClient, url: str, *, stream: bool) -> httpx.Response:
    body = {"model": "small", "stream": stream, "messages": [{"role": "user", "content": "Which port?"}]}
    return await client.post(url + CHAT, json=body)


def read(answer: httpx.Response, *, stream: bool) -> tuple[str, dict[str, object]]:
    """Return the text of an answer, and its `sluice` object."""
    if not stream:
        found = answer.json()
        return found["choices"][0]["message"]["content"], found["sluice"]
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    text = "".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk["choices"])
    return text, next(chunk["sluice"] for chunk in chunks if "sluice" in chunk)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("output", ["off", "enforce"])
async def test_what_nothing_supports_is_told(
    output: GuardMode, stream: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    async with serving(Parts(), routing(provider, "flag", output)) as gateway:
        for text, score, issues in ((RIGHT, 0.9, []), (WRONG, 0.2, ["potential_hallucination"])):
            provider.next(Behaviour(text=text))
            answer = await ask(client, gateway.url, stream=stream)
            shown, told = read(answer, stream=stream)
            assert shown == text
            assert told["guard_issues"] == issues
            assert told["groundedness"] == {"score": score, "sentences": []}
            if not stream:
                assert answer.headers["x-sluice-groundedness"] == f"{score:.2f}"
        checked = gateway.parts.guard.asked[-1].segments or ()
        assert [segment.role for segment in checked] == ["system", "question", "context", "assistant"]
        assert checked[1].text == "Which port?"
        assert "The port is 8080." in checked[2].text
        assert gateway.parts.usage.events[1].guard_issues == ("potential_hallucination",)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_nothing_supports_is_refused(stream: bool, provider: Provider, client: httpx.AsyncClient) -> None:
    async with serving(Parts(), routing(provider, "refuse", "off")) as gateway:
        provider.next(Behaviour(text=RIGHT), Behaviour(text=WRONG + " More words follow it." * 30))
        right, _ = read(await ask(client, gateway.url, stream=stream), stream=stream)
        answer = await ask(client, gateway.url, stream=stream)
        wrong, told = read(answer, stream=stream)
        assert (right, wrong) == (RIGHT, "I can't answer that from the documents I was given.")
        assert "9090" not in answer.text
        assert "content_filter" in answer.text
        assert told["groundedness"] == {"score": 0.2, "sentences": []}
        assert [event.status for event in gateway.parts.usage.events] == ["ok", "blocked"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["flag", "refuse"])
async def test_a_second_model_disputes_an_answer(
    mode: JudgedMode, stream: bool, provider: Provider, client: httpx.AsyncClient
) -> None:
    policy = Policy(name="checked", second_opinion=mode)
    routes = snapshot(model("small", deployment("d1", provider.base_url), policy="checked"), policies=(policy,))
    async with serving(Parts(), routes) as gateway:
        provider.next(Behaviour(text=RIGHT), Behaviour(text=WRONG))
        right = await ask(client, gateway.url, stream=stream)
        wrong = await ask(client, gateway.url, stream=stream)
        assert "8080" in right.text
        assert ("9090" in wrong.text) == (mode == "flag")
        assert ("I can't give an answer" in wrong.text) == (mode == "refuse")
        segments = gateway.parts.guard.asked[-1].segments or ()
        assert [(one.role, one.text) for one in segments[:-1]] == [("question", "Which port?")]
        assert [event.guard_issues for event in gateway.parts.usage.events] == [(), ("disputed_answer",)]


async def test_without_the_guardrail_the_policy_decides(provider: Provider, client: httpx.AsyncClient) -> None:
    away = DependencyUnavailable("away")
    async with serving(Parts(guard=Guard(failing=away)), routing(provider, "refuse", "off")) as gateway:
        assert (await ask(client, gateway.url, stream=False)).status_code == 503
    async with serving(Parts(guard=Guard(failing=away)), routing(provider, "refuse", "off", fail="open")) as gateway:
        answer = await ask(client, gateway.url, stream=False)
        assert (answer.status_code, answer.headers["x-sluice-guard"]) == (200, "unchecked")


async def test_a_kept_answer_tells_again_what_nothing_supports(provider: Provider, client: httpx.AsyncClient) -> None:
    routes = routing(provider, "flag", "off")
    (policy,) = routes.policies
    kept = policy.model_copy(update={"cache": CachePolicy(any_temperature=True)})
    async with serving(Parts(), routes.model_copy(update={"policies": (kept,)})) as gateway:
        provider.next(Behaviour(text=WRONG))
        made, again = [await ask(client, gateway.url, stream=False) for _ in range(2)]
        assert len(provider.seen) == 1
        assert again.headers["x-sluice-groundedness"] == "0.20"
        assert again.json()["sluice"]["groundedness"] == made.json()["sluice"]["groundedness"]
        assert again.json()["sluice"]["guard_issues"] == ["potential_hallucination"]
