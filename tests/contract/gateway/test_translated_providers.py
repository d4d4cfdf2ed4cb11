"""Every client style on every provider over a real socket, with the answers, the streams and the faults of the simulators."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from anthropic_provider import KEY as ANTHROPIC_KEY
from anthropic_provider import AnthropicProvider
from bedrock_provider import ACCESS_KEY, API_KEY, REGION, SECRET_KEY, BedrockProvider
from foreign_provider import Behaviour, ForeignProvider
from gemini_provider import KEY as GEMINI_KEY
from gemini_provider import GeminiProvider
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from tests.unit.gateway.translate.samples import TALK, TOOLS
from tests.unit.gateway.translate.sdks import chat_from, message_from, response_from
from yarl import URL

from sluice_gateway.adapters.aws_signing import AwsCredentials, AwsSigner
from sluice_gateway.translate.anthropic.provider import Anthropic
from sluice_gateway.translate.bedrock.provider import Bedrock
from sluice_gateway.translate.chat.client import Chat
from sluice_gateway.translate.gemini.provider import Gemini
from sluice_gateway.translate.messages.client import Messages
from sluice_gateway.translate.pairing import Pair, PairStream
from sluice_gateway.translate.responses.client import Responses
from sluice_gateway.translate.shapes import Asked, Client, Provider, UpstreamRequest

Json = dict[str, Any]
RICH = Behaviour(text="Let me look.", thinking="hm hm", calls=(("weather", {"city": "Oslo"}), ("clock", {})), cached=7)
ASKED = Asked("id_1", "public-model", 1_794_000_000, include_usage=True)
CHAT: Json = {"model": "m", "messages": TALK, "tools": TOOLS, "max_tokens": 50}
CALLS: list[Json] = [
    {"role": "user", "content": "q"},
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "c_1", "name": "weather", "input": {"city": "Oslo"}},
            {"type": "tool_use", "id": "c_2", "name": "clock", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c_1", "content": "rain"},
            {"type": "tool_result", "tool_use_id": "c_2", "content": [{"type": "text", "text": "17:05"}]},
        ],
    },
]
MESSAGES: Json = {
    "model": "m",
    "max_tokens": 50,
    "messages": CALLS,
    "tools": [{"name": tool["function"]["name"], "input_schema": tool["function"]["parameters"]} for tool in TOOLS],
}
RESPONSES: Json = {
    "model": "m",
    "input": [
        {"role": "user", "content": "q"},
        {"type": "function_call", "call_id": "c_1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c_1", "output": "rain"},
    ],
    "tools": [{"type": "function", **tool["function"]} for tool in TOOLS],
}
CLIENTS: dict[str, tuple[Client, Json]] = {
    "chat": (Chat(), CHAT),
    "messages": (Messages(), MESSAGES),
    "responses": (Responses(), RESPONSES),
}


@dataclass
class Place:
    """A simulator with the translator that belongs to it."""

    server: ForeignProvider
    provider: Provider
    base_url: str
    model: str
    key: str
    session: aiohttp.ClientSession

    async def post(self, request: UpstreamRequest, headers: dict[str, str] | None = None) -> aiohttp.ClientResponse:
        """Send a translated request."""
        name, value = self.provider.credential(self.key)
        given = (
            {"content-type": "application/json", name: value, **dict(request.headers)} if headers is None else headers
        )
        return await self.session.post(
            URL(self.base_url + request.path, encoded=True), data=request.body, headers=given
        )


@pytest.fixture(params=["anthropic", "gemini", "bedrock"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    made: dict[str, Callable[[], tuple[ForeignProvider, Provider, str, str, str]]] = {
        "anthropic": lambda: (AnthropicProvider(), Anthropic(), "/v1", "claude-opus-5-5", ANTHROPIC_KEY),
        "gemini": lambda: (GeminiProvider(), Gemini(), "/v1beta", "gemini-3.8-flash", GEMINI_KEY),
        "bedrock": lambda: (BedrockProvider(), Bedrock(), "", "eu.anthropic.claude-opus-5-5-v1:0", API_KEY),
    }
    server, provider, path, model, key = made[request.param]()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Place(server, provider, server.root_url + path, model, key, session)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_whole_answer(place: Place, client: str) -> None:
    style, fields = CLIENTS[client]
    pair = Pair(style, place.provider)
    place.server.next(RICH)
    async with await place.post(pair.request(fields, place.model)) as reply:
        body = await reply.read()
        assert reply.status == 200, body
    answered = pair.answer(body, ASKED)
    assert answered.usage is not None
    assert (answered.usage.completion_tokens, answered.usage.cached_tokens) == (3, 7)
    found = json.loads(answered.body)
    if client == "chat":
        ChatCompletion.model_validate(found, strict=True)
        assert [call["function"]["name"] for call in found["choices"][0]["message"]["tool_calls"]] == [
            "weather",
            "clock",
        ]
    elif client == "messages":
        assert [block["name"] for block in found["content"] if block["type"] == "tool_use"] == ["weather", "clock"]
    else:
        Response.model_validate(found, strict=True)
        assert [item["name"] for item in found["output"] if item["type"] == "function_call"] == ["weather", "clock"]


async def relay(place: Place, pair: Pair, fields: Json) -> tuple[bytes, PairStream]:
    """Send a streamed request and translate what comes, as it comes."""
    stream = pair.stream(ASKED)
    out = b""
    async with await place.post(pair.request({**fields, "stream": True}, place.model)) as reply:
        assert reply.headers["content-type"].encode().startswith(place.provider.stream_type)
        try:
            async for data in reply.content.iter_any():
                out += stream.feed(data).events
        except aiohttp.ClientError:
            pass
    return out + stream.finish().events, stream


@pytest.mark.parametrize("split", [None, 1])
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_stream(place: Place, client: str, split: int | None) -> None:
    style, fields = CLIENTS[client]
    place.server.next(replace(RICH, split=split))
    out, stream = await relay(place, Pair(style, place.provider), fields)
    assert stream.failure is None
    wire = out + stream.close()
    assert stream.usage is not None
    assert (stream.usage.completion_tokens, stream.usage.cached_tokens) == (3, 7)
    if client == "chat":
        message = chat_from(wire).choices[0].message
        assert message.content == "Let me look."
        assert [call.function.arguments for call in message.tool_calls or ()][:1] in (
            ['{"city": "Oslo"}'],
            ['{"city":"Oslo"}'],
        )  # type: ignore[union-attr]
    elif client == "messages":
        blocks = message_from(wire).content
        assert [block.input for block in blocks if block.type == "tool_use"] == [{"city": "Oslo"}, {}]
    else:
        response, _ = response_from(wire)
        assert response.output_text == "Let me look."
        assert [item.name for item in response.output if item.type == "function_call"] == ["weather", "clock"]


@pytest.mark.parametrize(
    "fault",
    [Behaviour(cut_after=5), Behaviour(stream_error_after=2), Behaviour(done=False)],
    ids=["cut", "error", "no end"],
)
async def test_a_stream_that_breaks_is_known_as_broken(place: Place, fault: Behaviour) -> None:
    place.server.next(fault)
    out, stream = await relay(place, Pair(Chat(), place.provider), CHAT)
    assert b"The" in out
    assert stream.failure is not None
    assert b"secret-host" not in out
    assert b"DONE" not in out


@pytest.mark.parametrize(("status", "kind"), [(429, "limit"), (500, "failure"), (503, "overloaded")])
async def test_refusals(place: Place, status: int, kind: str) -> None:
    if status == 503 and place.provider.style == "anthropic":
        status = 529
    place.server.next(Behaviour(status=status, retry_after="3"))
    async with await place.post(place.provider.request(CHAT, place.model)) as reply:
        assert reply.headers["retry-after"] == "3"
        refusal = place.provider.refusal(reply.status, await reply.read())
    assert refusal.kind == kind
    assert refusal.message == ""


async def test_a_wrong_key_is_the_operators_and_not_the_callers(place: Place) -> None:
    place.key = "wrong"
    async with await place.post(place.provider.request(CHAT, place.model)) as reply:
        assert place.provider.refusal(reply.status, await reply.read()).kind == "credential"


async def test_bad_json_and_a_stall(place: Place) -> None:
    pair = Pair(Chat(), place.provider)
    place.server.next(Behaviour(bad_json=True), Behaviour(stall_s=30))
    async with await place.post(pair.request(CHAT, place.model)) as reply:
        body = await reply.read()
    with pytest.raises(Exception, match="no JSON"):
        pair.answer(body, ASKED)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await place.post(pair.request(CHAT, place.model))


async def test_tokens_are_counted(place: Place) -> None:
    provider: Any = place.provider
    request = provider.count_request(Messages().count_request(MESSAGES), place.model)
    async with await place.post(request) as reply:
        assert reply.status == 200
        assert provider.count_answer(await reply.json()) > 0


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_second_turn_is_accepted(place: Place, client: str) -> None:
    """What the client got, sent back as history, passes the provider's own checks (ids, order, signatures)."""
    style, fields = CLIENTS[client]
    pair = Pair(style, place.provider)
    place.server.next(RICH)
    async with await place.post(pair.request(fields, place.model)) as reply:
        found = json.loads(pair.answer(await reply.read(), ASKED).body)
    if client == "chat":
        message = found["choices"][0]["message"]
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in message["tool_calls"]]
        fields = {**fields, "messages": [*fields["messages"], message, *results]}
    elif client == "messages":
        calls = [block["id"] for block in found["content"] if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": call, "content": "x"} for call in calls]
        said = {"role": "assistant", "content": found["content"]}
        fields = {**fields, "messages": [*fields["messages"], said, {"role": "user", "content": results}]}
    else:
        results = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": "x"}
            for item in found["output"]
            if item["type"] == "function_call"
        ]
        fields = {**fields, "input": [*fields["input"], *found["output"], *results]}
    async with await place.post(pair.request(fields, place.model)) as reply:
        assert reply.status == 200, await reply.text()
    sent = place.server.seen[-1].body
    assert b"c2lnbmVk" in sent


async def test_iam_credentials_sign_what_bedrock_accepts() -> None:
    signer = AwsSigner(AwsCredentials(ACCESS_KEY, SECRET_KEY), REGION)
    async with BedrockProvider() as server, aiohttp.ClientSession() as session:
        place = Place(server, Bedrock(), server.root_url, "eu.anthropic.claude-opus-5-5-v1:0", "", session)
        request = place.provider.request({**CHAT, "stream": True}, place.model)
        url = place.base_url + request.path
        headers = signer.headers(url, request.body, (("content-type", "application/json"),))
        async with await place.post(request, headers) as reply:
            assert reply.status == 200, await reply.text()
        async with await place.post(request._replace(body=request.body + b" "), headers) as reply:
            assert reply.status == 403
