"""Streams that break after their first byte: every provider's, in every way, end with an error in the client's own dialect.

The one exception: a client of chat completions on an OpenAI-compatible server gets its events as they come, unread.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from anthropic_provider import KEY as ANTHROPIC_KEY
from anthropic_provider import AnthropicProvider
from bedrock_provider import API_KEY as BEDROCK_KEY
from bedrock_provider import BedrockProvider
from foreign_provider import Behaviour
from gateway_parts import Parts, Secrets, deployment, model, serving, snapshot
from gemini_provider import KEY as GEMINI_KEY
from gemini_provider import GeminiProvider
from openai_provider import Provider

from sluice_gateway.dataplane.deps import Options

KEY = {"authorization": "Bearer sk-test"}
CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "Name some letters."}]
TEXT = "alpha bravo charlie delta echo foxtrot"
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"max_tokens": 50, "messages": QUESTION},
    "/v1/messages": {"max_tokens": 50, "messages": QUESTION},
    "/v1/responses": {"max_output_tokens": 50, "input": "Name some letters."},
}
# after the first word of every provider, and before its last
FAULTS: dict[str, dict[str, Any]] = {
    "cut": {"cut_after": 5, "chunk_delay_s": 0.01},
    "stalled": {"hold_after": 5},
    "malformed": {"garble_after": 5, "chunk_delay_s": 0.01},
    "malformed-at-once": {"garble_after": 5, "one_write": True},
    "error": {"stream_error_after": 3, "chunk_delay_s": 0.01},
}
CODES = {"stalled": "stream_timeout"}
PASSED_ON = {("openai", "/v1/chat/completions", fault) for fault in FAULTS if fault.startswith("malformed")}


def simulators() -> dict[str, Provider]:
    return {
        "openai": Provider(),
        "anthropic": AnthropicProvider(),
        "gemini": GeminiProvider(),
        "bedrock": BedrockProvider(),
    }


async def test_every_fault_of_every_provider_is_an_error_in_every_dialect() -> None:
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(one) for name, one in simulators().items()}
        models = [
            model(name, deployment(
                f"d-{name}", one.base_url, provider=name, upstream_model=f"{name}-1", max_in_flight=500,
                timeout_s=60, connect_timeout_s=30, first_byte_timeout_s=60, idle_timeout_s=0.5,
                auth={"kind": "bearer", "env": name.upper()} if name != "openai" else {"kind": "none"},
            ))
            for name, one in servers.items()
        ]  # fmt: skip
        secrets = Secrets({"ANTHROPIC": ANTHROPIC_KEY, "GEMINI": GEMINI_KEY, "BEDROCK": BEDROCK_KEY})
        parts = Parts(secrets=secrets, options=Options(cooldown_s=0.0, trace_ratio_direct=0.0))
        gateway = await stack.enter_async_context(serving(parts, snapshot(*models)))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=gateway.url, headers=KEY, timeout=60))

        async def ask(name: str, path: str, fault: str) -> str:
            asked = f"{name}-{path.rsplit('/', 1)[1]}-{fault}"
            servers[name].for_request[asked] = Behaviour(text=TEXT, **FAULTS[fault])
            body = {"model": name, "stream": True, **ASKED[path]}
            answer = await client.post(path, json=body, headers={"x-request-id": asked})
            assert answer.status_code == 200, (asked, answer.text)
            return answer.text

        cases = [
            (name, path, fault)
            for name in servers
            for path in ASKED
            for fault in FAULTS
            if name == "openai"
            or fault != "malformed-at-once"  # a translator's first read that breaks is a failed attempt
        ]
        answers = dict(zip(cases, await asyncio.gather(*(ask(*case) for case in cases)), strict=True))
        statuses = {event.request_id: (event.status, event.error_code) for event in parts.usage.events}
    for (name, path, fault), text in answers.items():
        if (name, path, fault) in PASSED_ON:
            assert text.endswith("data: [DONE]\n\n")
            assert 'data: {"half": \n\n' in text
            continue
        assert "alpha" in text, (name, path, fault)
        assert "secret-host" not in text
        asked = f"{name}-{path.rsplit('/', 1)[1]}-{fault}"
        assert statuses[asked] == ("error", CODES.get(fault, "stream_interrupted")), asked
        check_end(path, text, CODES.get(fault, "stream_interrupted"))


def check_end(path: str, text: str, code: str) -> None:
    """See that a stream ends with the dialect's own error event, once, and not as if it were complete."""
    events = [
        dict(line.split(": ", 1) for line in block.split("\n") if ": " in line) for block in text.strip().split("\n\n")
    ]
    last = json.loads(events[-1]["data"])
    if path == "/v1/chat/completions":
        assert "[DONE]" not in text
        assert set(last) == {"error"}
        assert (last["error"]["type"], last["error"]["code"]) == ("upstream_error", code)
    elif path == "/v1/messages":
        assert events[-1]["event"] == last["type"] == "error"
        assert last["error"]["type"] == "api_error"
        assert "message_stop" not in text
    else:
        assert events[-1]["event"] == last["type"] == "response.failed"
        assert (last["response"]["status"], last["response"]["error"]["code"]) == ("failed", "server_error")
        assert "response.completed" not in text
    assert [event["event"] for event in events if event.get("event") in ("error", "response.failed")] in ([], [last["type"]] if "type" in last else [])  # fmt: skip


@pytest.mark.parametrize(
    ("header", "stream", "code"),
    [
        ("first-byte-ms=300", True, "first_byte_timeout"),
        ("timeout-ms=300", False, "answer_timeout"),
        ("idle-ms=300 , first-byte-ms=60000", True, "stream_timeout"),
    ],
)
async def test_a_caller_may_wait_for_less(header: str, stream: bool, code: str) -> None:
    hold: dict[str, Any] = {"hold_after": 3 if code == "stream_timeout" else 0} if stream else {"stall_s": 30.0}
    async with Provider(Behaviour(**hold)) as provider, httpx.AsyncClient(headers=KEY, timeout=60) as client:
        routing = snapshot(model("small", deployment("d1", provider.base_url, timeout_s=60)))
        async with serving(Parts(), routing) as gateway:
            body = {"model": "small", "stream": stream, **ASKED[CHAT]}
            answer = await client.post(gateway.url + CHAT, json=body, headers={"x-sluice-attempt": header})
    error = json.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]
    assert error["code"] == code
    assert answer.status_code == (200 if code == "stream_timeout" else 504)


async def test_a_head_without_an_event_is_no_answer_and_another_deployment_takes_over() -> None:
    async with (
        Provider(Behaviour(hold_after=0)) as silent,
        Provider() as good,
        httpx.AsyncClient(headers=KEY, timeout=60) as client,
    ):
        routing = snapshot(model(
            "small",
            deployment("silent", silent.base_url, weight=9.0, timeout_s=60, first_byte_timeout_s=0.3),
            deployment("good", good.base_url, timeout_s=60),
        ))  # fmt: skip
        async with serving(Parts(), routing) as gateway:
            answer = await client.post(gateway.url + CHAT, json={"model": "small", "stream": True, **ASKED[CHAT]})
    assert (answer.status_code, answer.headers["x-sluice-deployment"]) == (200, "good")
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    "header", ["", "idle-ms", "idle-ms=0", "idle-ms=1,idle-ms=2", "idle-s=3", "idle-ms=1.5", "idle-ms=3600001"]
)
async def test_what_cannot_be_read_is_refused(header: str) -> None:
    async with (
        Provider() as provider,
        httpx.AsyncClient(headers=KEY, timeout=60) as client,
        serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway,
    ):
        body = {"model": "small", **ASKED[CHAT]}
        answer = await client.post(gateway.url + CHAT, json=body, headers={"x-sluice-attempt": header})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-sluice-attempt")
    assert provider.seen == []
