"""The simulators of providers are honest: each provider's own SDK works with them, and sees their faults as it sees the real ones."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import anthropic
import botocore.config
import botocore.session
import httpx2
import pytest
from anthropic_provider import KEY as ANTHROPIC_KEY
from anthropic_provider import AnthropicProvider
from bedrock_provider import ACCESS_KEY, REGION, SECRET_KEY, BedrockProvider
from botocore.exceptions import ClientError, EventStreamError
from foreign_provider import Behaviour
from gemini_provider import KEY as GEMINI_KEY
from gemini_provider import GeminiProvider
from google import genai
from google.genai import errors, types

TOOL: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
RICH = Behaviour(text="Let me look.", thinking="hm hm", calls=(("weather", {"city": "Oslo"}), ("clock", {})), cached=7)


@pytest.fixture
async def claude() -> AsyncIterator[tuple[AnthropicProvider, anthropic.AsyncAnthropic]]:
    async with (
        AnthropicProvider() as provider,
        anthropic.AsyncAnthropic(api_key=ANTHROPIC_KEY, base_url=provider.root_url, max_retries=0) as client,
    ):
        yield provider, client


ASK: dict[str, Any] = {"model": "claude-opus-5-5", "max_tokens": 50, "messages": [{"role": "user", "content": "q"}]}


async def test_anthropics_sdk_on_its_simulator(claude: tuple[AnthropicProvider, anthropic.AsyncAnthropic]) -> None:
    provider, client = claude
    provider.next(RICH, RICH)
    message = await client.messages.create(**ASK)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert message.usage.cache_read_input_tokens == 7
    async with client.messages.stream(**ASK) as stream:
        streamed = await stream.get_final_message()
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in message.content]
    assert streamed.stop_reason == message.stop_reason == "tool_use"
    counted = await client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    assert counted.input_tokens > 0


async def test_anthropics_sdk_sees_the_faults(claude: tuple[AnthropicProvider, anthropic.AsyncAnthropic]) -> None:
    provider, client = claude
    provider.next(Behaviour(status=429, retry_after="3"), Behaviour(status=529), Behaviour(status=500))
    with pytest.raises(anthropic.RateLimitError) as limited:
        await client.messages.create(**ASK)
    assert limited.value.response.headers["retry-after"] == "3"
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        await client.messages.create(**ASK)
    assert overloaded.value.status_code == 529
    with pytest.raises(anthropic.InternalServerError):
        await client.messages.create(**ASK)
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        await client.messages.create(**ASK, extra_body={"temperature": 1})
    use = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}
    turns = [*ASK["messages"], {"role": "assistant", "content": [use]}, {"role": "user", "content": "?"}]
    with pytest.raises(anthropic.BadRequestError, match="tool_result"):
        await client.messages.create(**{**ASK, "messages": turns})
    provider.next(Behaviour(stream_error_after=2))
    with pytest.raises(anthropic.APIStatusError, match="overloaded"):
        async with client.messages.stream(**ASK) as stream:
            await stream.get_final_message()
    with pytest.raises(anthropic.AuthenticationError):
        await client.with_options(api_key="wrong").messages.create(**ASK)


@pytest.fixture
async def gemini() -> AsyncIterator[tuple[GeminiProvider, genai.client.AsyncClient]]:
    # Google's SDK would else take aiohttp, of which it makes a subclass that aiohttp warns about
    async with GeminiProvider() as provider, httpx2.AsyncClient() as http:
        options = types.HttpOptions(base_url=provider.root_url, httpx_async_client=http)
        client = genai.Client(api_key=GEMINI_KEY, vertexai=False, http_options=options)
        yield provider, client.aio
        await client.aio.aclose()
        client.close()


def _functions() -> types.GenerateContentConfig:
    declared = types.FunctionDeclaration(name="weather", parameters_json_schema=TOOL)
    return types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])], max_output_tokens=50)


async def test_googles_sdk_on_its_simulator(gemini: tuple[GeminiProvider, genai.client.AsyncClient]) -> None:
    provider, client = gemini
    provider.next(RICH, RICH)
    found = await client.models.generate_content(model="gemini-3.8-flash", contents="q", config=_functions())
    assert found.function_calls is not None
    assert [call.name for call in found.function_calls] == ["weather", "clock"]
    assert found.usage_metadata is not None
    assert found.usage_metadata.cached_content_token_count == 7
    stream = await client.models.generate_content_stream(model="gemini-3.8-flash", contents="q", config=_functions())
    parts = [part async for chunk in stream for part in chunk.candidates[0].content.parts]  # type: ignore[index,union-attr]
    assert "".join(part.text or "" for part in parts if not part.thought) == "Let me look."
    assert [part.function_call.name for part in parts if part.function_call] == ["weather", "clock"]
    counted = await client.models.count_tokens(model="gemini-3.8-flash", contents="q")
    assert counted.total_tokens
    embedded = await client.models.embed_content(
        model="gemini-embedding-001", contents=["a", "bc"], config={"output_dimensionality": 8}
    )
    assert embedded.embeddings is not None
    assert [one.values[0] for one in embedded.embeddings if one.values] == [1 / 8, 2 / 8]


async def test_googles_sdk_sees_the_faults(gemini: tuple[GeminiProvider, genai.client.AsyncClient]) -> None:
    provider, client = gemini
    for status, kind in ((429, errors.ClientError), (500, errors.ServerError), (503, errors.ServerError)):
        provider.next(Behaviour(status=status))
        with pytest.raises(kind) as caught:
            await client.models.generate_content(model="gemini-3.8-flash", contents="q")
        assert caught.value.code == status
    call = types.Part(function_call=types.FunctionCall(name="weather", args={}))
    with pytest.raises(errors.ClientError, match="thought_signature"):
        await client.models.generate_content(
            model="gemini-3.8-flash", contents=[types.Content(role="user", parts=[types.Part(text="q")]), types.Content(role="model", parts=[call])]
        )  # fmt: skip
    provider.next(Behaviour(stream_error_after=2))
    stream = await client.models.generate_content_stream(model="gemini-3.8-flash", contents="q")
    with pytest.raises(errors.APIError):
        async for _ in stream:
            pass


@pytest.fixture
async def bedrock() -> AsyncIterator[tuple[BedrockProvider, Any]]:
    async with BedrockProvider() as provider:
        client = botocore.session.get_session().create_client(
            "bedrock-runtime",
            region_name=REGION,
            endpoint_url=provider.root_url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )
        yield provider, client
        client.close()


MODEL = "eu.anthropic.claude-opus-5-5-v1:0"
TALK: list[Any] = [{"role": "user", "content": [{"text": "q"}]}]


def _streamed(client: Any) -> list[dict[str, Any]]:
    with closing(client.converse_stream(modelId=MODEL, messages=TALK)["stream"]) as events:
        return list(events)


async def test_botocore_on_its_simulator(bedrock: tuple[BedrockProvider, Any]) -> None:
    provider, client = bedrock
    provider.next(RICH, RICH)
    found = await asyncio.to_thread(client.converse, modelId=MODEL, messages=TALK, inferenceConfig={"maxTokens": 5})
    uses = [block["toolUse"]["name"] for block in found["output"]["message"]["content"] if "toolUse" in block]
    assert uses == ["weather", "clock"]
    assert found["usage"]["cacheReadInputTokens"] == 7
    events = await asyncio.to_thread(_streamed, client)
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert "".join(delta.get("text", "") for delta in deltas) == "Let me look."
    assert "metadata" in events[-1]
    counted = await asyncio.to_thread(client.count_tokens, modelId=MODEL, input={"converse": {"messages": TALK}})
    assert counted["inputTokens"] > 0
    for model, body in (
        ("amazon.titan-embed-text-v2:0", {"inputText": "ab", "dimensions": 256}),
        ("cohere.embed-english-v3", {"texts": ["ab"], "input_type": "search_query"}),
    ):
        answer = await asyncio.to_thread(client.invoke_model, modelId=model, body=json.dumps(body))
        made = json.loads(answer["body"].read())
        assert (made.get("embedding") or made["embeddings"][0])[0] == 2 / 8


async def test_botocore_sees_the_faults(bedrock: tuple[BedrockProvider, Any]) -> None:
    provider, client = bedrock
    for status, code in (
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ):
        provider.next(Behaviour(status=status))
        with pytest.raises(ClientError) as caught:
            await asyncio.to_thread(client.converse, modelId=MODEL, messages=TALK)
        assert caught.value.response["Error"]["Code"] == code
    provider.next(Behaviour(stream_error_after=2))
    with pytest.raises(EventStreamError, match="throttlingException"):
        await asyncio.to_thread(_streamed, client)
