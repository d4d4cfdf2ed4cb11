"""The request path in front of the real engine: llama.cpp with SmolLM2, started by the inference service."""

import asyncio
from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest
from gateway_parts import Parts, deployment, model, serving, snapshot
from tests.integration.inference.inference_process import Inference, smollm2

from sluice.contracts.routing import RoutingSnapshot
from sluice.testing import free_port

MESSAGES = [{"role": "user", "content": "Say hello."}]
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    service = Inference(tmp_path_factory.mktemp("engine"), [smollm2(port)]).start()
    yield f"http://127.0.0.1:{port}/v1"
    service.process.stop()


def routing(engine: str) -> RoutingSnapshot:
    return snapshot(model("small", deployment("d1", engine, upstream_model="smollm2", timeout_s=60)))


async def test_an_answer_and_a_stream_are_billed_as_the_engine_counts(engine: str) -> None:
    parts = Parts()
    async with (
        serving(parts, routing(engine)) as gateway,
        openai.AsyncOpenAI(api_key="sk-test", base_url=gateway.url + "/v1", max_retries=0) as api,
    ):
        whole = await api.chat.completions.create(model="small", messages=MESSAGES, max_tokens=12, temperature=0)
        stream = await api.chat.completions.create(
            model="small", messages=MESSAGES, max_tokens=12, temperature=0, stream=True
        )
        text = "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])
        done = await api.completions.create(model="small", prompt="Once upon a time", max_tokens=4)
    assert whole.choices[0].message.content
    assert text == whole.choices[0].message.content
    assert done.usage is not None
    first, second, third = parts.usage.events
    assert (first.prompt_tokens, first.completion_tokens) == (whole.usage.prompt_tokens, whole.usage.completion_tokens)
    assert (second.prompt_tokens, second.completion_tokens) == (first.prompt_tokens, first.completion_tokens)
    assert third.completion_tokens == done.usage.completion_tokens
    assert all(event.tokens_exact and event.status == "ok" for event in parts.usage.events)


async def test_the_engine_counts_a_prompt_before_it_answers(engine: str) -> None:
    parts = Parts()
    async with (
        serving(parts, routing(engine)) as gateway,
        anthropic.AsyncAnthropic(api_key="sk-test", base_url=gateway.url, max_retries=0) as api,
    ):
        counted = await api.messages.count_tokens(model="small", messages=MESSAGES)
        answer = await api.messages.create(model="small", messages=MESSAGES, max_tokens=4)
    assert counted.input_tokens == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    assert [event.prompt_tokens for event in parts.usage.events] == [0, counted.input_tokens]


async def test_responses_pass_to_an_engine_that_has_them(engine: str) -> None:
    parts = Parts()
    place = deployment("d1", engine, upstream_model="smollm2", timeout_s=60, responses="native")
    async with (
        serving(parts, snapshot(model("small", place))) as gateway,
        openai.AsyncOpenAI(api_key="sk-test", base_url=gateway.url + "/v1", max_retries=0) as api,
    ):
        asked = {"model": "small", "input": "Say hello.", "max_output_tokens": 12, "temperature": 0}
        whole = await api.responses.create(**asked)
        events = [event async for event in await api.responses.create(**asked, stream=True)]
    streamed = events[-1].response
    assert whole.output_text
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    assert whole.usage is not None
    counts = [(event.prompt_tokens, event.completion_tokens, event.tokens_exact) for event in parts.usage.events]
    assert counts == [(whole.usage.input_tokens, whole.usage.output_tokens, True)] * 2
    assert streamed.usage.model_dump()["sluice"]["cost_usd"] == pytest.approx(parts.usage.events[1].cost_usd)


async def test_a_prompt_over_the_context_is_refused_with_a_sentence(engine: str) -> None:
    parts = Parts()
    async with serving(parts, routing(engine)) as gateway, httpx.AsyncClient(timeout=60) as client:
        body = {"model": "small", "messages": [{"role": "user", "content": "word " * 20_000}]}
        answer = await client.post(gateway.url + CHAT, json=body, headers={"authorization": "Bearer sk-test"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
    assert "Shorten" in error["message"]
    assert parts.usage.events[0].status == "error"


async def test_a_client_that_leaves_frees_the_engine(engine: str) -> None:
    parts = Parts()
    async with serving(parts, routing(engine)) as gateway:
        async with httpx.AsyncClient(timeout=60, headers={"authorization": "Bearer sk-test"}) as client:
            body = {"model": "small", "messages": MESSAGES, "stream": True, "max_tokens": 1500, "ignore_eos": True}
            async with client.stream("POST", gateway.url + CHAT, json=body) as answer:
                count = 0
                async for _ in answer.aiter_lines():
                    count += 1
                    if count > 10:
                        break
        async with asyncio.timeout(20):
            while not parts.usage.events:
                await asyncio.sleep(0.02)
    event = parts.usage.events[0]
    assert (event.status, event.tokens_exact) == ("cancelled", False)
    assert 3 < event.completion_tokens < 1500
