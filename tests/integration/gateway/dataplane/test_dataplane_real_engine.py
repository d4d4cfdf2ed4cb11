"""The request path in front of the real engine: llama.cpp with SmolLM2, started by the inference service."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from gateway_parts import Parts, deployment, model, serving, snapshot
from jsonschema import Draft202012Validator
from tests.integration.inference.inference_process import Inference, smollm2

from sluice.contracts.judging import ConfidencePolicy
from sluice.contracts.routing import Policy, RoutingSnapshot
from sluice.testing import free_port

MESSAGES = [{"role": "user", "content": "Say hello."}]
CHAT = "/v1/chat/completions"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


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


def counts_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the usage that an answer tells, a stream at its end."""
    if not answer.text.startswith("data:"):
        return dict(answer.json()["usage"])
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    return next(chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage"))


@pytest.mark.parametrize("stream", [False, True])
async def test_every_one_of_several_answers_is_billed(stream: bool, engine: str) -> None:
    """llama.cpp counts the first answer alone, so that the others would cost nothing."""
    place = deployment("d1", engine, upstream_model="smollm2", timeout_s=60, provider="llamacpp")
    parts, shown = Parts(), []
    async with serving(parts, snapshot(model("small", place))) as gateway, httpx.AsyncClient(timeout=60) as client:
        for path, asked in (
            (CHAT, {"messages": MESSAGES, "n": 2}),
            ("/v1/completions", {"prompt": ["Once upon", "Once upon a time there was a"]}),
            ("/v1/completions", {"prompt": ["Once upon"]}),
        ):
            body = {"model": "small", "max_tokens": 3, "ignore_eos": True, "stream": stream, **asked}
            if stream:
                body["stream_options"] = {"include_usage": True}
            answer = await client.post(
                gateway.url + path, json=body, headers={"authorization": "Bearer sk-test"}, timeout=60
            )
            assert answer.status_code == 200, answer.text
            shown.append(counts_of(answer))
    several, prompts, one = parts.usage.events
    assert (several.completion_tokens, several.tokens_exact) == (6, False)
    assert (prompts.completion_tokens, prompts.tokens_exact) == (6, False)
    assert prompts.prompt_tokens > 2 * one.prompt_tokens
    assert (one.completion_tokens, one.tokens_exact) == (3, True)
    for event, usage in zip(parts.usage.events, shown, strict=True):
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (event.prompt_tokens, event.completion_tokens)
        assert usage["total_tokens"] == event.prompt_tokens + event.completion_tokens


@pytest.mark.parametrize(
    ("wrong", "param", "words"),
    [
        ({"tools": {}}, "tools", "array"),
        ({"tools": [{"type": "function"}]}, "tools", "Missing tool function"),
        ({"messages": [*MESSAGES, {"role": "assistant", "tool_calls": [{"id": "x"}]}, *MESSAGES]}, "messages", "call"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages", "takes no images"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_engine_cannot_read_is_the_callers_mistake(
    wrong: dict[str, Any], param: str, words: str, stream: bool, engine: str
) -> None:
    """llama.cpp answers 500 to it; counted as a failure it would have the deployment rest for everybody."""
    parts = Parts()
    async with serving(parts, routing(engine)) as gateway, httpx.AsyncClient(timeout=60) as client:
        headers = {"authorization": "Bearer sk-test"}
        body = {"model": "small", "max_tokens": 2, "messages": MESSAGES, "stream": stream, **wrong}
        for _ in range(3):
            answer = await client.post(gateway.url + CHAT, json=body, headers=headers, timeout=60)
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, param), error
            assert words in error["message"]
        good = await client.post(
            gateway.url + CHAT, json={**body, "messages": MESSAGES, "tools": None}, headers=headers, timeout=60
        )
    assert good.status_code == 200
    assert "x-sluice-attempts" not in good.headers


async def test_how_sure_the_engine_was_is_told(engine: str) -> None:
    policy = Policy(name="sure", confidence=ConfidencePolicy())
    place = deployment("d1", engine, upstream_model="smollm2", timeout_s=60)
    async with (
        serving(Parts(), snapshot(model("small", place, policy="sure"), policies=(policy,))) as gateway,
        httpx.AsyncClient(base_url=gateway.url, headers={"authorization": "Bearer sk-test"}, timeout=60) as http,
    ):
        body = {"model": "small", "messages": MESSAGES, "max_tokens": 6, "temperature": 0}
        whole = await http.post(CHAT, json=body)
        stream = await http.post(CHAT, json={**body, "stream": True})
    told = whole.json()["sluice"]["confidence"]
    assert 0 < told["lowest"] <= told["probability"] <= 1
    assert float(whole.headers["x-sluice-confidence"]) == pytest.approx(told["probability"], abs=0.01)
    chunks = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
    assert next(chunk["sluice"]["confidence"] for chunk in chunks if "sluice" in chunk) == pytest.approx(told, abs=0.02)
    assert not any(choice.get("logprobs") for chunk in chunks for choice in chunk["choices"])


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


async def test_the_engine_counts_what_a_guard_has_read(engine: str) -> None:
    tools: list[Any] = [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}]
    asked: dict[str, Any] = {"messages": MESSAGES, "system": "Be brief.", "tools": tools}
    guarded = Policy(name="guarded", guard_input="enforce", guard_output="enforce")
    place = deployment("d1", engine, upstream_model="smollm2", timeout_s=60, provider="llamacpp")
    routed = snapshot(model("small", place), model("safe", place, policy="guarded"), policies=(guarded,))
    async with (
        serving(Parts(), routed) as gateway,
        anthropic.AsyncAnthropic(api_key="sk-test", base_url=gateway.url, max_retries=0) as api,
    ):
        counts = [(await api.messages.count_tokens(model=name, **asked)).model_dump() for name in ("small", "safe")]
        offered = (await api.get("/v1/models/safe", cast_to=dict[str, Any]))["sluice"]["endpoints"]
    assert counts[0] == counts[1]
    assert counts[0]["input_tokens"] > 10
    assert "/v1/messages/count_tokens" in offered


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
        async with asyncio.timeout(60):
            while not parts.usage.events:
                await asyncio.sleep(0.02)
    event = parts.usage.events[0]
    assert (event.status, event.tokens_exact) == ("cancelled", False)
    assert 3 < event.completion_tokens < 1500


async def test_a_whole_answer_that_its_client_gives_up_is_charged_as_the_engine_counts(engine: str) -> None:
    parts = Parts()
    async with serving(parts, routing(engine)) as gateway:
        body = {"model": "small", "messages": MESSAGES, "max_tokens": 120, "ignore_eos": True}
        async with httpx.AsyncClient(timeout=60, headers={"authorization": "Bearer sk-test"}) as client:
            asked = asyncio.create_task(client.post(gateway.url + CHAT, json=body))
            async with asyncio.timeout(60):
                while not gateway.plane._table.models["small"].deployments[0].in_flight:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # the engine has it by now
            asked.cancel()
            await asyncio.wait([asked])
        async with asyncio.timeout(60):
            while not parts.usage.events:
                await asyncio.sleep(0.02)
        async with httpx.AsyncClient(timeout=60, headers={"authorization": "Bearer sk-test"}) as client:
            patient = (await client.post(gateway.url + CHAT, json=body)).json()["usage"]
    event = parts.usage.events[0]
    assert (event.status, event.completion_tokens, event.tokens_exact) == ("cancelled", 120, True)
    assert (event.prompt_tokens, event.completion_tokens) == (patient["prompt_tokens"], patient["completion_tokens"])


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
FORMS: list[tuple[dict[str, Any], Callable[[str], bool]]] = [
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}}},
        lambda text: Draft202012Validator(SCHEMA).is_valid(json.loads(text)),
    ),
    (
        {"structured_outputs": {"regex": r"[a-z]{3,8}(-\d{2})?"}},
        lambda text: bool(re.fullmatch(r"[a-z]{3,8}(-\d{2})?", text)),
    ),
    ({"structured_outputs": {"choice": ['say "yes"', "no"]}}, lambda text: text in ('say "yes"', "no")),
    (
        {"structured_outputs": {"grammar": 'root ::= "the " ("cat" | "dog") [.!]'}},
        lambda text: text[4:7] in ("cat", "dog"),
    ),
    (
        {"structured_outputs": {"xml": {"root": "p", "schema": SCHEMA}}},
        lambda text: re.fullmatch(r"<p><name>[^<>]{0,12}</name><age>\d{1,2}</age></p>", text) is not None,
    ),
]


async def test_every_form_is_kept_or_told_of_streamed_and_not(engine: str) -> None:
    codes = {"structured_output_invalid", "structured_output_incomplete"}
    own = snapshot(
        model("small", deployment("d1", engine, upstream_model="smollm2", provider="llamacpp", timeout_s=60))
    )
    async with serving(Parts(), own) as gateway, httpx.AsyncClient(timeout=60) as client:
        for demand, right in FORMS:
            for streamed in (False, True):
                body = {"model": "small", "messages": MESSAGES, "max_tokens": 60, "stream": streamed, **demand}
                answer = await client.post(gateway.url + CHAT, json=body, headers={"authorization": "Bearer sk-test"})
                text, code = told(answer)
                assert (code in codes) if code else right(text), (demand, text, code)


def told(answer: httpx.Response) -> tuple[str, str | None]:
    """Return the text of an answer or stream, and the code of its error."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        found = answer.json()
        return ("", found["error"]["code"]) if "error" in found else (found["choices"][0]["message"]["content"], None)
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    errors = [chunk["error"]["code"] for chunk in chunks if "error" in chunk]
    text = "".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk.get("choices", ()))
    return text, errors[0] if errors else None
