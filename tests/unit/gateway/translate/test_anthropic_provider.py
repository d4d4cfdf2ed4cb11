"""Hub → Anthropic → hub, checked against the types of Anthropic's and OpenAI's own SDKs."""

import json
from typing import Any

import pytest
from anthropic.types import Message, MessageCreateParams, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter
from tests.unit.gateway.translate.samples import ASKED, PNG, TALK, TOOLS, joined, run, sse

from sluice_gateway.translate.anthropic.answer import usage_of
from sluice_gateway.translate.anthropic.provider import Anthropic
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.hub import read_usage, usage_json
from sluice_gateway.translate.messages.answer import usage_json as to_anthropic
from sluice_gateway.translate.shapes import Usage

Json = dict[str, Any]
SOUND: Json = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
_PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
PROVIDER = Anthropic()

MESSAGE: Json = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5",
    "content": [
        {"type": "thinking", "thinking": "Oslo, so", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 20,
        "output_tokens": 55,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "output_tokens_details": {"thinking_tokens": 12},
    },
}
EVENTS: list[Json] = [
    {
        "type": "message_start",
        "message": {
            **MESSAGE,
            "content": [],
            "stop_reason": None,
            "usage": {
                "input_tokens": 20,
                "output_tokens": 1,
                "cache_read_input_tokens": 1000,
                "cache_creation_input_tokens": 300,
            },
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Oslo, "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "so"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Let me "}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "look — ünïcode."}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"city": "O'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": 'slo"}'}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
    },
    {"type": "content_block_stop", "index": 3},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 55, "output_tokens_details": {"thinking_tokens": 12}},
    },
    {"type": "message_stop"},
]


def body_for(fields: Json, model: str = "claude-opus-5-5", **kwargs: Any) -> Json:
    """Translate, check against the SDK's own type, and return the body."""
    body: Json = json.loads(PROVIDER.request(fields, model, **kwargs).body)
    known = {name: value for name, value in body.items() if name not in ("temperature", "top_p", "top_k")}
    _PARAMS.validate_python(known, strict=False, extra="forbid")
    return body


def test_the_samples_are_what_anthropics_sdk_accepts() -> None:
    Message.model_validate(MESSAGE, strict=True)
    for event in EVENTS:
        if event["type"] != "ping":
            _EVENT.validate_python(event)


def test_a_whole_conversation_becomes_messages() -> None:
    request = PROVIDER.request({"model": "m", "messages": TALK, "tools": TOOLS, "max_tokens": 64}, "claude-opus-5-5")
    body = body_for({"model": "m", "messages": TALK, "tools": TOOLS, "max_tokens": 64})
    assert request.path == "/messages"
    assert dict(request.headers) == {"anthropic-version": "2026-10-21"}
    assert body == {
        "model": "claude-opus-5-5",
        "max_tokens": 64,
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Use metric units."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this place, and how is the weather there?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "It looks like Oslo."},
                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}},
                    {"type": "tool_use", "id": "call_2", "name": "clock", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_1",
                        "content": [{"type": "text", "text": "rain, 4 °C"}],
                    },
                    {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "17:05"}]},
                    {"type": "text", "text": "Thank you. And tomorrow?"},
                ],
            },
        ],
        "tools": [
            {
                "name": "weather",
                "description": "The weather of a city.",
                "input_schema": TOOLS[0]["function"]["parameters"],
            },
            {"name": "clock", "input_schema": {"type": "object", "properties": {}}},
        ],
    }


def test_a_message_becomes_an_answer_with_every_count() -> None:
    answer = PROVIDER.answer(MESSAGE, ASKED)
    parsed = ChatCompletion.model_validate(answer, strict=True)
    message = parsed.choices[0].message
    assert message.content == "Let me look."
    assert message.tool_calls is not None
    assert [call.id for call in message.tool_calls] == ["toolu_1", "toolu_2"]
    assert [call.function.arguments for call in message.tool_calls] == ['{"city":"Oslo"}', "{}"]  # type: ignore[union-attr]
    assert parsed.choices[0].finish_reason == "tool_calls"
    assert answer["usage"] == {
        "prompt_tokens": 1320,
        "completion_tokens": 55,
        "total_tokens": 1375,
        "prompt_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 300},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    assert answer["choices"][0]["message"]["reasoning_content"] == "Oslo, so"
    assert (answer["model"], answer["id"]) == ("public-model", "chatcmpl-1")


def test_signed_thinking_goes_back_as_it_came_and_another_models_does_not() -> None:
    answered = PROVIDER.answer(MESSAGE, ASKED)["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": i, "content": "x"} for i in ("toolu_1", "toolu_2")]
    body = body_for({"messages": [{"role": "user", "content": "q"}, answered, *results], "tools": TOOLS})
    assert body["messages"][1]["content"] == MESSAGE["content"]
    foreign = {
        **answered,
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "format": "google-gemini-v1"}],
    }
    body = body_for({"messages": [{"role": "user", "content": "q"}, foreign, *results], "tools": TOOLS})
    assert [block["type"] for block in body["messages"][1]["content"]] == ["text", "tool_use", "tool_use"]


def test_a_stream_becomes_chunks() -> None:
    chunks, stream = run(lambda: PROVIDER.stream(ASKED), [sse(EVENTS, named=True)])
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    found = joined(chunks)
    assert found["content"] == "Let me look — ünïcode."
    assert found["reasoning"] == "Oslo, so"
    assert found["details"] == [
        {"type": "reasoning.text", "text": "Oslo, so", "signature": "c2ln", "format": "anthropic-claude-v1"}
    ]
    assert found["calls"] == {
        0: {"id": "toolu_1", "name": "weather", "arguments": '{"city": "Oslo"}'},
        1: {"id": "toolu_2", "name": "clock", "arguments": "{}"},
    }
    assert found["finish"] == "tool_calls"
    assert stream.usage == Usage(1320, 55, 1000, 300, 12)
    assert stream.done
    assert stream.failure is None
    assert [chunk["choices"] for chunk in chunks][-1] == []


def test_a_stream_that_is_dropped_has_counted_its_input() -> None:
    stream = PROVIDER.stream(ASKED)
    stream.feed(sse(EVENTS[:5], named=True))
    assert stream.usage == Usage(1320, 1, 1000, 300, 0)
    stream.finish()
    assert stream.failure is not None
    assert stream.failure.kind == "failure"


def test_an_error_in_the_middle_of_a_stream_ends_it_without_its_words() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "host 10.0.0.1 is busy"}}
    chunks, stream = run(lambda: PROVIDER.stream(ASKED), [sse([*EVENTS[:10], error, *EVENTS[10:]], named=True)])
    assert joined(chunks)["content"] == "Let me look — ünïcode."
    assert stream.failure is not None
    assert (stream.failure.kind, stream.failure.message) == ("overloaded", "")
    assert not stream.done


def test_data_that_is_no_json_breaks_a_stream() -> None:
    _, stream = run(lambda: PROVIDER.stream(ASKED), [sse(EVENTS[:3]), b"data: {oops\n\n", sse(EVENTS[3:])])
    assert stream.failure is not None
    assert not stream.done


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "stop"),
    ],
)
def test_stop_reasons(stop: str, finish: str) -> None:
    found = {**MESSAGE, "content": [], "stop_reason": stop, "stop_sequence": "###" if stop == "stop_sequence" else None}
    choice = PROVIDER.answer(found, ASKED)["choices"][0]
    assert choice["finish_reason"] == finish
    assert choice.get("stop_reason") == ("###" if stop == "stop_sequence" else None)


def test_the_limit_is_the_callers_or_the_models_or_a_default() -> None:
    fields: Json = {"messages": [{"role": "user", "content": "q"}]}
    assert body_for({**fields, "max_tokens": 5})["max_tokens"] == 5
    assert body_for({**fields, "max_completion_tokens": 6})["max_tokens"] == 6
    assert body_for(fields, max_output_tokens=7)["max_tokens"] == 7
    assert body_for(fields)["max_tokens"] == 8192


def test_sampling_asks_for_the_version_that_has_it() -> None:
    fields = {"messages": [{"role": "user", "content": "q"}], "temperature": 0.2, "stop": "###", "user": "u-1", "n": 1}
    request = PROVIDER.request(fields, "claude-haiku-4-5")
    body = body_for(fields)
    assert dict(request.headers) == {"anthropic-version": "2023-06-01"}
    assert (body["temperature"], body["stop_sequences"], body["metadata"]) == (0.2, ["###"], {"user_id": "u-1"})


def test_a_schema_is_enforced_natively_and_rules_it_cannot_hold_are_told() -> None:
    schema = {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 0},
            "mail": {"type": "string", "format": "email", "maxLength": 80},
            "pets": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Pet"}},
            "kind": {"oneOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["age"],
        "$defs": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
    body = body_for({"messages": [{"role": "user", "content": "q"}], "response_format": form})
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "age": {"type": "integer", "description": "(minimum: 0)"},
                "mail": {"type": "string", "format": "email", "description": "(maxLength: 80)"},
                "pets": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Pet"}},
                "kind": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["age"],
            "$defs": {
                "Pet": {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}
            },
            "additionalProperties": False,
        },
    }


def test_any_json_object_comes_through_a_forced_tool_and_reads_as_content() -> None:
    fields = {"messages": [{"role": "user", "content": "q"}], "response_format": {"type": "json_object"}}
    body = body_for(fields)
    name = body["tools"][0]["name"]
    assert body["tool_choice"] == {"type": "tool", "name": name, "disable_parallel_tool_use": True}
    message = {**MESSAGE, "content": [{"type": "tool_use", "id": "t", "name": name, "input": {"a": 1}}]}
    choice = PROVIDER.answer(message, ASKED)["choices"][0]
    assert choice["message"]["content"] == '{"a":1}'
    assert choice["finish_reason"] == "stop"
    events = [
        EVENTS[0],
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": name, "input": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "content_block_stop", "index": 0},
        *EVENTS[-2:],
    ]  # fmt: skip
    found = joined(run(lambda: PROVIDER.stream(ASKED), [sse(events)])[0])
    assert (found["content"], found["finish"], found["calls"]) == ('{"a":1}', "stop", {})


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("auto", None, None),
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", True, {"type": "any"}),
        ("none", None, {"type": "none"}),
        (
            {"type": "function", "function": {"name": "clock"}},
            False,
            {"type": "tool", "name": "clock", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_tool_choices(choice: object, parallel: bool | None, expected: object) -> None:
    fields = {"messages": [{"role": "user", "content": "q"}], "tools": TOOLS, "tool_choice": choice}
    if parallel is not None:
        fields["parallel_tool_calls"] = parallel
    assert body_for(fields).get("tool_choice") == expected


def test_only_the_allowed_tools_are_declared() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "clock"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = body_for({"messages": [{"role": "user", "content": "q"}], "tools": TOOLS, "tool_choice": choice})
    assert [tool["name"] for tool in body["tools"]] == ["clock"]
    assert body["tool_choice"] == {"type": "any"}


def test_calls_of_earlier_turns_have_their_tools_declared() -> None:
    body = body_for({"messages": TALK})
    assert [tool["name"] for tool in body["tools"]] == ["weather", "clock"]
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("model", "fields", "thinking", "effort"),
    [
        ("claude-opus-5-5", {"reasoning_effort": "low"}, {"type": "adaptive", "display": "summarized"}, "low"),
        ("claude-opus-4-7", {"reasoning_effort": "minimal"}, {"type": "adaptive", "display": "summarized"}, "low"),
        ("claude-haiku-4-5", {"reasoning_effort": "low"}, {"type": "enabled", "budget_tokens": 2048}, None),
        ("claude-opus-5-5", {"reasoning_effort": "none"}, {"type": "disabled"}, None),
        (
            "claude-sonnet-4-5-20250929",
            {"thinking": {"type": "enabled", "budget_tokens": 99999}},
            {"type": "enabled", "budget_tokens": 8191},
            None,
        ),
    ],
)
def test_thinking(model: str, fields: Json, thinking: Json, effort: str | None) -> None:
    body = body_for({"messages": [{"role": "user", "content": "q"}], **fields}, model)
    assert body["thinking"] == thinking
    assert body.get("output_config", {}).get("effort") == effort


_ASK: list[Json] = [{"role": "user", "content": "q"}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"seed": 7}, "seed"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"temperature": 1.5}, "temperature"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"functions": []}, "functions"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice.function.name"),
        ({"tools": TOOLS, "response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": [{"role": "system", "content": "only"}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "q"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [SOUND]}]}, "messages[0].content[0].input_audio"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}]},
            "messages[0].content[0].image_url",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}
                ]
            },
            "messages[0].content[0].image_url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f-1"}}]}]},
            "messages[0].content[0].file.file_id",
        ),
        ({"messages": [*_ASK, {"role": "tool", "tool_call_id": "nope", "content": "x"}]}, "messages[1].tool_call_id"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1]"}}],
                    }
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"max_tokens": 512, "thinking": {"type": "enabled", "budget_tokens": 2000}}, "max_tokens"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "m",
                        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                }
            },
            "response_format.json_schema.schema",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        PROVIDER.request({"messages": _ASK, **fields}, "claude-opus-5-5")
    assert caught.value.param == param
    assert caught.value.message.startswith(f"`{param}` ")


def test_an_https_image_is_fetched_by_the_provider() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    body = body_for({"messages": [{"role": "user", "content": parts}]})
    assert body["messages"][0]["content"][0]["source"] == {"type": "url", "url": "https://example.com/a.png"}


def test_a_document_goes_as_a_document() -> None:
    parts = [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}}]
    body = body_for({"messages": [{"role": "user", "content": parts}]})
    assert body["messages"][0]["content"][0] == {
        "type": "document",
        "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
    }


@pytest.mark.parametrize(
    ("status", "error", "kind", "message"),
    [
        (
            400,
            {"type": "invalid_request_error", "message": "prompt is too long: 205351 tokens > 200000 maximum"},
            "context",
            "prompt is too long: 205351 tokens > 200000 maximum",
        ),
        (
            400,
            {"type": "invalid_request_error", "message": "messages.0: see https://x.y/z (req_011CV5J4YZo4J3)"},
            "request",
            "messages.0: see … (…)",
        ),
        (
            400,
            {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."},
            "credential",
            "",
        ),
        (401, {"type": "authentication_error", "message": "invalid x-api-key"}, "credential", ""),
        (404, {"type": "not_found_error", "message": "model: claude-9"}, "credential", ""),
        (429, {"type": "rate_limit_error", "message": "org limit"}, "limit", ""),
        (500, {"type": "api_error", "message": "stack"}, "failure", ""),
        (529, {"type": "overloaded_error", "message": "Overloaded"}, "overloaded", ""),
    ],
)
def test_refusals(status: int, error: Json, kind: str, message: str) -> None:
    found = PROVIDER.refusal(status, json.dumps({"type": "error", "error": error}).encode())
    assert (found.kind, found.message) == (kind, message)


def test_a_refusal_that_is_no_json_is_judged_by_its_status() -> None:
    assert PROVIDER.refusal(529, b"<html>").kind == "overloaded"
    assert PROVIDER.refusal(502, b"").kind == "failure"


def test_an_answer_that_is_no_message_counts_as_a_failure() -> None:
    with pytest.raises(BadAnswer):
        PROVIDER.answer({"type": "error"}, ASKED)


def test_tokens_are_counted_of_the_prompt_only() -> None:
    request = PROVIDER.count_request({"messages": TALK, "tools": TOOLS, "max_tokens": 9}, "claude-opus-5-5")
    assert request.path == "/messages/count_tokens"
    assert set(json.loads(request.body)) == {"model", "system", "messages", "tools"}
    assert PROVIDER.count_answer({"input_tokens": 42}) == 42
    with pytest.raises(BadAnswer):
        PROVIDER.count_answer({})


def test_what_is_kept_for_an_hour_is_counted_by_itself() -> None:
    kept = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200}
    found = usage_of({"usage": {**MESSAGE["usage"], "cache_creation": kept}})
    assert found is not None
    assert (found.cache_write_tokens, found.cache_write_1h_tokens) == (300, 200)
    hub = usage_json(found)
    assert hub["prompt_tokens_details"] == {
        "cached_tokens": 1000,
        "cache_write_tokens": 300,
        "cache_write_1h_tokens": 200,
    }
    assert read_usage({"usage": hub}) == found
    assert to_anthropic(found)["cache_creation"] == kept
