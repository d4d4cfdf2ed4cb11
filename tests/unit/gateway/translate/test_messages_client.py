"""A client of Anthropic's Messages API on models of other styles, checked against Anthropic's and OpenAI's own types."""

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter
from tests.unit.gateway.translate import test_gemini_provider as gemini
from tests.unit.gateway.translate.samples import PNG, sse
from tests.unit.gateway.translate.sdks import message_from

from sluice_gateway.translate.bedrock.provider import Bedrock
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.events import EventReader
from sluice_gateway.translate.gemini.provider import Gemini
from sluice_gateway.translate.hub import chunk, usage_chunk
from sluice_gateway.translate.messages.client import Messages
from sluice_gateway.translate.openai.provider import OpenAI
from sluice_gateway.translate.pairing import Pair
from sluice_gateway.translate.shapes import Asked, Failure, Usage

Json = dict[str, Any]
CLIENT = Messages()
ASKED = Asked("msg_1", "public-model", 1_794_000_000)
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_CHAT: TypeAdapter[Any] = TypeAdapter(completion_create_params.CompletionCreateParams)

REQUEST: Json = {
    "model": "public-model",
    "max_tokens": 200,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "stop_sequences": ["###"],
    "metadata": {"user_id": "u-1"},
    "thinking": {"type": "enabled", "budget_tokens": 5000},
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "no network"},
                        {"type": "image", "source": {"type": "url", "url": "https://example.com/map.png"}},
                    ],
                },
                {"type": "text", "text": "Try again."},
            ],
        },
    ],
    "tools": [{"name": "weather", "description": "Weather.", "input_schema": {"type": "object", "properties": {}}}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
}


def body_for(fields: Json, model: str = "gpt-5") -> Json:
    """Translate for an OpenAI model, check against OpenAI's own types, and return the body."""
    body: Json = json.loads(Pair(CLIENT, OpenAI()).request(fields, model).body)
    _CHAT.validate_python(body, extra="forbid")
    return body


def test_a_whole_request_becomes_a_chat() -> None:
    assert body_for(REQUEST) == {
        "model": "gpt-5",
        "max_completion_tokens": 200,
        "stop": ["###"],
        "user": "u-1",
        "reasoning_effort": "high",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "Let me look."}],
                "tool_calls": [
                    {
                        "id": "toolu_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "toolu_1", "content": "Error: no network"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Shown by the tool call toolu_1:"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/map.png"}},
                ],
            },
            {"role": "user", "content": [{"type": "text", "text": "Try again."}]},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "Weather.",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }


def test_an_engine_that_does_not_think_is_not_told_to() -> None:
    body = body_for({**REQUEST, "stream": True, "output_config": None}, "llama-3")
    assert (body["max_tokens"], body["stream_options"]) == (200, {"include_usage": True})
    assert "reasoning_effort" not in body


@pytest.mark.parametrize("kind", ["auto", "none"])
def test_tool_choices(kind: str) -> None:
    assert body_for({**REQUEST, "tool_choice": {"type": kind}})["tool_choice"] == kind


def test_a_named_tool_is_a_named_function() -> None:
    choice = {"type": "tool", "name": "weather"}
    assert body_for({**REQUEST, "tool_choice": choice})["tool_choice"]["function"] == {"name": "weather"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"service_tier": "batch"}, "service_tier"),
        ({"tools": [{"type": "web_search_20260318", "name": "web_search"}]}, "tools[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "search_result"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}
                ]
            },
            "messages[0].content[0].source.type",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]},
            "messages[0].content[0].type",
        ),
        ({"messages": "x"}, "messages"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        CLIENT.request({**REQUEST, **fields})
    assert caught.value.param == param


ANSWER: Json = {
    "id": "chatcmpl-9",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "Let me look.",
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "call 1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                    {"id": "call_2", "type": "function", "function": {"name": "clock", "arguments": ""}},
                ],
            },
        }
    ],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
}  # fmt: skip


def test_an_answer_becomes_a_message() -> None:
    answered = Pair(CLIENT, OpenAI()).answer(json.dumps(ANSWER).encode(), ASKED)
    message = Message.model_validate_json(answered.body, strict=True)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert message.stop_reason == "tool_use"
    assert message.content[2].id.startswith("call_1_")  # type: ignore[union-attr]
    assert message.content[2].input == {"city": "Oslo"}  # type: ignore[union-attr]
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (40, 60)
    assert message.usage.output_tokens_details is not None
    assert message.usage.output_tokens_details.thinking_tokens == 5
    assert answered.usage == Usage(100, 20, 60, 0, 5)
    assert (message.id, message.model) == ("msg_1", "public-model")


def test_arguments_that_are_no_json_count_as_a_failure() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{oops"}}
    choices = [{**ANSWER["choices"][0], "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]
    with pytest.raises(BadAnswer):
        CLIENT.answer({**ANSWER, "choices": choices}, ASKED)
    for broken in (b"no json", b"[]", b'{"choices": []}'):
        with pytest.raises(BadAnswer):
            Pair(CLIENT, OpenAI()).answer(broken, ASKED)


@pytest.mark.parametrize(
    ("choice", "stop", "sequence"),
    [
        ({"finish_reason": "stop"}, "end_turn", None),
        ({"finish_reason": "stop", "stop_reason": "###"}, "stop_sequence", "###"),
        ({"finish_reason": "length"}, "max_tokens", None),
        ({"finish_reason": "content_filter"}, "refusal", None),
    ],
)
def test_stop_reasons(choice: Json, stop: str, sequence: str | None) -> None:
    found = CLIENT.answer({"choices": [{**choice, "message": {"role": "assistant", "content": "x"}}]}, ASKED)
    Message.model_validate(found, strict=True)
    assert (found["stop_reason"], found["stop_sequence"]) == (stop, sequence)


def read(wire: bytes) -> tuple[Message, list[Json]]:
    """Check every event, and put the stream together with the SDK itself."""
    events = []
    for event in EventReader().feed(wire):
        payload = json.loads(event.data)
        assert payload["type"].encode() == event.name
        _EVENT.validate_python(payload)
        events.append(payload)
    return message_from(wire), events


def _delta(**delta: Any) -> Json:
    return chunk(ASKED, delta)


CHUNKS: list[Json] = [
    _delta(role="assistant", content=""),
    _delta(reasoning_content="h"),
    _delta(reasoning_content="m"),
    _delta(content="Let me "),
    _delta(content="look."),
    _delta(tool_calls=[{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}]),
    _delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city":'}}]),
    _delta(tool_calls=[{"index": 0, "function": {"arguments": '"Oslo"}'}}]),
    _delta(tool_calls=[{"index": 1, "id": "call_2", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]),
    chunk(ASKED, {}, "tool_calls"),
    usage_chunk(ASKED, Usage(100, 20, 60, 0, 5)),
]  # fmt: skip


def test_a_stream_is_what_the_sdk_puts_together() -> None:
    stream = Pair(CLIENT, OpenAI()).stream(ASKED)
    piece = stream.feed(sse(CHUNKS) + b"data: [DONE]\n\n")
    assert piece.done
    message, events = read(piece.events + stream.close())
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block.input for block in message.content if block.type == "tool_use"] == [{"city": "Oslo"}, {}]
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (40, 20)
    starts = [event["index"] for event in events if event["type"] == "content_block_start"]
    stops = [event["index"] for event in events if event["type"] == "content_block_stop"]
    assert starts == stops == [0, 1, 2, 3]
    assert [event["type"] for event in events][-2:] == ["message_delta", "message_stop"]


PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Let me look."}]


def test_content_in_parts_is_read_as_thoughts_and_words() -> None:
    # As Mistral's models that think write it, whole and in streams.
    answered = CLIENT.answer({"choices": [{"index": 0, "message": {"role": "assistant", "content": PARTS}}]}, ASKED)
    assert [block.get("thinking") or block["text"] for block in answered["content"]] == ["hm", "Let me look."]
    stream = Pair(CLIENT, OpenAI()).stream(ASKED)
    piece = stream.feed(
        sse([_delta(content=PARTS[:1]), _delta(content=PARTS[1:]), chunk(ASKED, {}, "stop")]) + b"data: [DONE]\n\n"
    )
    message, _ = read(piece.events + stream.close())
    assert [block.type for block in message.content] == ["thinking", "text"]


def test_an_empty_stream_is_a_message_all_the_same() -> None:
    stream = Pair(CLIENT, OpenAI()).stream(ASKED)
    wire = stream.feed(sse([chunk(ASKED, {}, "stop")]) + b"data: [DONE]\n\n").events + stream.close()
    assert read(wire)[0].content == []


def test_a_broken_stream_ends_with_a_typed_error() -> None:
    failure = Failure(529, "overloaded_error", "The model is busy.")
    wire = CLIENT.stream(ASKED).fail(failure)
    event = EventReader().feed(wire)[0]
    assert event.name == b"error"
    parsed = ErrorResponse.model_validate_json(event.data, strict=True)
    assert (parsed.error.type, parsed.error.message) == ("overloaded_error", "The model is busy.")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"), (404, "not_found_error"), (429, "rate_limit_error"), (500, "api_error")],
)  # fmt: skip
def test_errors_have_anthropics_shape(status: int, kind: str) -> None:
    parsed = ErrorResponse.model_validate(CLIENT.error(Failure(status, "x", "m")), strict=True)
    assert parsed.error.type == kind


def test_geminis_signatures_survive_an_anthropic_client() -> None:
    """The signature of a Gemini call comes back on the same call after a round trip through Anthropic's blocks."""
    pair = Pair(CLIENT, Gemini())
    whole = json.loads(pair.answer(json.dumps(gemini.CONTENT).encode(), ASKED).body)
    stream = pair.stream(ASKED)
    events = (
        stream.feed(sse([*gemini.EVENTS[:-1], gemini._piece([], finishReason="STOP")])).events + stream.finish().events
    )
    streamed = read(events + stream.close())[0].model_dump(mode="json", exclude_none=True)
    for message in (whole, streamed):
        Message.model_validate(message)
        calls = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": call, "content": "ok"} for call in calls]
        turns = [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": message["content"]},
            {"role": "user", "content": results},
        ]
        body = json.loads(pair.request({"max_tokens": 9, "messages": turns}, "gemini-3.8-flash").body)
        parts = [part for part in body["contents"][1]["parts"] if "functionCall" in part]
        assert [part.get("thoughtSignature") for part in parts] == ["c2ln", None]


def test_an_anthropic_request_works_on_bedrock_and_gemini() -> None:
    fields = {**REQUEST, "output_config": None, "tool_choice": {"type": "any"}}
    fields["messages"] = [REQUEST["messages"][0]]
    bedrock = json.loads(Pair(CLIENT, Bedrock()).request(fields, "eu.anthropic.claude-opus-5-5").body)
    assert bedrock["system"] == [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]
    assert bedrock["toolConfig"]["toolChoice"] == {"any": {}}
    google = json.loads(Pair(CLIENT, Gemini()).request(fields, "gemini-2.5-pro").body)
    assert google["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingBudget": 5000}


def test_tokens_are_counted_on_any_provider_that_counts() -> None:
    hub = CLIENT.count_request({"model": "m", "messages": [{"role": "user", "content": "q"}]})
    assert Gemini().count_request(hub, "gemini-3.8-flash").path.endswith(":countTokens")
    assert CLIENT.count_answer(7) == {"input_tokens": 7}
