"""Hub → Bedrock Converse → hub, checked against botocore's own model of the service and OpenAI's types."""

import json
from base64 import b64decode
from typing import Any

import botocore.session
import pytest
from bedrock_provider import event, exception
from botocore.eventstream import EventStreamBuffer
from botocore.model import ServiceModel, StructureShape
from botocore.parsers import EventStreamJSONParser, RestJSONParser
from botocore.validate import validate_parameters
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.unit.gateway.translate.samples import ASKED, PNG, TALK, TOOLS, joined, run

from sluice_gateway.translate.bedrock.answer import usage_of
from sluice_gateway.translate.bedrock.provider import Bedrock
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.shapes import Usage

Json = dict[str, Any]
PROVIDER = Bedrock()
MODEL = "eu.anthropic.claude-opus-5-5-v1:0"
_ASK: list[Json] = [{"role": "user", "content": "q"}]

CONVERSED: Json = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Oslo, so", "signature": "c2ln"}}},
                {"text": "Let me look."},
                {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Oslo"}}},
                {"toolUse": {"toolUseId": "tooluse_2", "name": "clock", "input": {}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 20, "outputTokens": 55, "totalTokens": 75, "cacheReadInputTokens": 1000, "cacheWriteInputTokens": 300},
    "metrics": {"latencyMs": 12},
}  # fmt: skip
EVENTS: list[tuple[str, Json]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Oslo, "}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "so"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Let me "}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "look — ünïcode."}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    (
        "contentBlockStart",
        {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "tooluse_1", "name": "weather"}}},
    ),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"city": "O'}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": 'slo"}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("contentBlockStart", {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "tooluse_2", "name": "clock"}}}),
    ("contentBlockStop", {"contentBlockIndex": 3}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": CONVERSED["usage"], "metrics": {"latencyMs": 12}}),
]
WIRE = b"".join(event(name, payload) for name, payload in EVENTS)


@pytest.fixture(scope="module")
def service() -> ServiceModel:
    return botocore.session.get_session().get_service_model("bedrock-runtime")


def body_for(service: ServiceModel, fields: Json, model: str = MODEL) -> Json:
    """Translate, check against botocore's own shapes (unknown members fail), and return the body."""
    body: Json = json.loads(PROVIDER.request(fields, model).body)
    shape = service.operation_model("Converse").input_shape
    validate_parameters({"modelId": model, **_as_parameters(body)}, shape)
    return body


def _as_parameters(value: Any, *, within: str = "") -> Any:
    # on the wire blobs are base64; botocore's validation wants the bytes
    if isinstance(value, dict):
        return {key: _as_parameters(item, within=key) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_parameters(item) for item in value]
    return b64decode(value) if within in ("bytes", "redactedContent") else value


def test_the_samples_are_what_botocore_reads(service: ServiceModel) -> None:
    output = service.operation_model("Converse").output_shape
    response = {"status_code": 200, "headers": {}, "body": json.dumps(CONVERSED).encode()}
    parsed = RestJSONParser().parse(response, output)
    assert parsed["output"]["message"]["content"][2]["toolUse"]["input"] == {"city": "Oslo"}
    stream = service.operation_model("ConverseStream").output_shape
    assert isinstance(stream, StructureShape)
    buffer = EventStreamBuffer()
    buffer.add_data(WIRE)
    events = [EventStreamJSONParser().parse(message.to_response_dict(), stream.members["stream"]) for message in buffer]
    assert [next(iter(found)) for found in events] == [name for name, _ in EVENTS]


def test_a_whole_conversation_becomes_messages(service: ServiceModel) -> None:
    fields = {"model": "m", "messages": TALK, "tools": TOOLS, "max_tokens": 64, "stop": ["#"], "temperature": 0.5}
    request = PROVIDER.request(fields, MODEL)
    assert request.path == "/model/eu.anthropic.claude-opus-5-5-v1%3A0/converse"
    body = body_for(service, fields)
    assert body["system"] == [{"text": "Be brief."}, {"text": "Use metric units."}]
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"text": "What is this place, and how is the weather there?"},
                {"image": {"format": "png", "source": {"bytes": PNG}}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"text": "It looks like Oslo."},
                {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Oslo"}}},
                {"toolUse": {"toolUseId": "call_2", "name": "clock", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "call_1", "content": [{"text": "rain, 4 °C"}]}},
                {"toolResult": {"toolUseId": "call_2", "content": [{"text": "17:05"}]}},
                {"text": "Thank you. And tomorrow?"},
            ],
        },
    ]
    assert body["inferenceConfig"] == {"maxTokens": 64, "temperature": 0.5, "stopSequences": ["#"]}
    assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {"json": TOOLS[0]["function"]["parameters"]}


def test_an_answer_has_every_count() -> None:
    answer = PROVIDER.answer(CONVERSED, ASKED)
    parsed = ChatCompletion.model_validate(answer, strict=True)
    choice = parsed.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Let me look.", "tool_calls")
    assert choice.message.tool_calls is not None
    assert [call.id for call in choice.message.tool_calls] == ["tooluse_1", "tooluse_2"]
    assert answer["usage"]["prompt_tokens"] == 1320
    assert answer["usage"]["prompt_tokens_details"] == {"cached_tokens": 1000, "cache_write_tokens": 300}


def test_signed_thinking_goes_back_as_it_came(service: ServiceModel) -> None:
    answered = PROVIDER.answer(CONVERSED, ASKED)["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": i, "content": ""} for i in ("tooluse_1", "tooluse_2")]
    body = body_for(service, {"messages": [*_ASK, answered, *results], "tools": TOOLS})
    assert body["messages"][1]["content"] == CONVERSED["output"]["message"]["content"]


def test_a_stream_becomes_chunks() -> None:
    chunks, stream = run(lambda: PROVIDER.stream(ASKED), [WIRE])
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    found = joined(chunks)
    assert (found["content"], found["reasoning"], found["finish"]) == (
        "Let me look — ünïcode.",
        "Oslo, so",
        "tool_calls",
    )
    assert found["details"] == [
        {"type": "reasoning.text", "text": "Oslo, so", "signature": "c2ln", "format": "anthropic-claude-v1"}
    ]
    assert found["calls"] == {
        0: {"id": "tooluse_1", "name": "weather", "arguments": '{"city": "Oslo"}'},
        1: {"id": "tooluse_2", "name": "clock", "arguments": "{}"},
    }
    assert stream.usage == Usage(1320, 55, 1000, 300, 0)
    assert stream.done


def test_a_cut_stream_an_exception_and_a_broken_frame() -> None:
    half = b"".join(event(name, payload) for name, payload in EVENTS[:7])
    for wire, kind in (
        (half, "failure"),
        (half + WIRE[:40], "failure"),
        (half + exception("throttlingException", "slow down"), "limit"),
        (half + exception("modelStreamErrorException", "boom"), "failure"),
        (half + b"x" * 64, "failure"),
        (half + WIRE[:-1] + b"!", "failure"),
    ):
        chunks, stream = run(lambda: PROVIDER.stream(ASKED), [wire])
        assert joined(chunks)["content"].startswith("Let me look — ünïcode.")
        assert stream.failure is not None
        assert (stream.failure.kind, stream.failure.message) == (kind, "")
        assert not stream.done


def test_structured_output_is_native(service: ServiceModel) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "description": "An x.", "schema": schema}}
    body = body_for(service, {"messages": _ASK, "response_format": form})
    inner = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (inner["name"], inner["description"]) == ("x", "An x.")
    assert json.loads(inner["schema"]) == {**schema, "additionalProperties": False}


def test_any_json_object_comes_through_a_forced_tool(service: ServiceModel) -> None:
    body = body_for(service, {"messages": _ASK, "response_format": {"type": "json_object"}})
    name = body["toolConfig"]["toolChoice"]["tool"]["name"]
    use = {"toolUse": {"toolUseId": "t", "name": name, "input": {"a": 1}}}
    found = {**CONVERSED, "output": {"message": {"role": "assistant", "content": [use]}}}
    choice = PROVIDER.answer(found, ASKED)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ('{"a":1}', "stop")
    events = [
        event("messageStart", {"role": "assistant"}),
        event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": name}}}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": '{"a":1}'}}}),
        event("messageStop", {"stopReason": "tool_use"}),
        event("metadata", {"usage": CONVERSED["usage"], "metrics": {"latencyMs": 1}}),
    ]
    joined_up = joined(run(lambda: PROVIDER.stream(ASKED), events)[0])
    assert (joined_up["content"], joined_up["finish"], joined_up["calls"]) == ('{"a":1}', "stop", {})


def test_calls_of_earlier_turns_have_their_tools_declared(service: ServiceModel) -> None:
    tools = body_for(service, {"messages": TALK})["toolConfig"]["tools"]
    assert [tool["toolSpec"]["name"] for tool in tools] == ["weather", "clock"]


def test_cache_marks_become_cache_points(service: ServiceModel) -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    system = {"role": "system", "content": [{"type": "text", "text": "long", "cache_control": mark}]}
    body = body_for(
        service, {"messages": [system, *_ASK], "tools": [{**TOOLS[0], "cache_control": {"type": "ephemeral"}}]}
    )
    assert body["system"] == [{"text": "long"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}


@pytest.mark.parametrize(
    ("model", "fields", "more", "effort"),
    [
        (MODEL, {"reasoning_effort": "low", "top_k": 5}, {"thinking": {"type": "adaptive"}, "top_k": 5}, "low"),
        (
            MODEL,
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            None,
        ),
        (MODEL, {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, None),
        ("amazon.nova-pro-v1:0", {"reasoning_effort": "high"}, None, "high"),
        ("amazon.nova-pro-v1:0", {"reasoning_effort": "none"}, None, None),
    ],
)
def test_thinking(service: ServiceModel, model: str, fields: Json, more: Json | None, effort: str | None) -> None:
    body = body_for(service, {"messages": _ASK, **fields}, model)
    assert body.get("additionalModelRequestFields") == more
    assert body.get("outputConfig", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"seed": 1}, "seed"),
        ({"temperature": 1.5}, "temperature"),
        ({"tools": TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"messages": TALK, "tools": TOOLS, "tool_choice": "none"}, "tool_choice"),
        ({"tools": TOOLS, "response_format": {"type": "json_object"}}, "response_format"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}
                ]
            },
            "messages[0].content[0].image_url",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": "data:image/tiff;base64,QQ=="}]}
                ]
            },
            "messages[0].content[0].image_url",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        PROVIDER.request({"messages": _ASK, **fields}, MODEL)
    assert caught.value.param == param


def test_documents_and_s3_images(service: ServiceModel) -> None:
    parts = [
        {"type": "text", "text": "read"},
        {"type": "file", "file": {"filename": "my_report.v2.pdf", "file_data": "data:application/pdf;base64,QUJD"}},
        {"type": "image_url", "image_url": {"url": "s3://bucket-a/x.png"}},
    ]
    content = body_for(service, {"messages": [{"role": "user", "content": parts}]})["messages"][0]["content"]
    assert content[1] == {"document": {"format": "pdf", "name": "my report v2", "source": {"bytes": "QUJD"}}}
    assert content[2] == {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket-a/x.png"}}}}


@pytest.mark.parametrize(
    ("status", "message", "kind", "shown"),
    [
        (400, "messages.1.content is bad for arn:aws:bedrock:eu-north-1:123456789012:x/y", "request", "messages.1.content is bad for …"),
        (400, "Input is too long for requested model.", "context", "Input is too long for requested model."),
        (400, "The provided model identifier is invalid.", "credential", ""),
        (403, "User: arn:aws:iam::1:user/x is not authorized", "credential", ""),
        (424, "x", "failure", ""),
        (429, "Too many requests", "limit", ""),
        (503, "x", "overloaded", ""),
    ],
)  # fmt: skip
def test_refusals(status: int, message: str, kind: str, shown: str) -> None:
    found = PROVIDER.refusal(status, json.dumps({"message": message}).encode())
    assert (found.kind, found.message) == (kind, shown)


def test_a_malformed_answer_counts_as_a_failure() -> None:
    for found in ({}, {**CONVERSED, "stopReason": "malformed_tool_use"}):
        with pytest.raises(BadAnswer):
            PROVIDER.answer(found, ASKED)


def test_tokens_are_counted_of_the_prompt_only(service: ServiceModel) -> None:
    request = PROVIDER.count_request({"messages": TALK, "tools": TOOLS, "max_tokens": 9}, MODEL)
    assert request.path.endswith("/count-tokens")
    shape = service.operation_model("CountTokens").input_shape
    validate_parameters({"modelId": MODEL, **_as_parameters(json.loads(request.body))}, shape)
    assert PROVIDER.count_answer({"inputTokens": 3}) == 3


def test_what_is_kept_for_an_hour_is_counted_by_itself() -> None:
    kept = [{"ttl": "1h", "inputTokens": 20}, {"ttl": "5m", "inputTokens": 10}]
    usage = {"inputTokens": 5, "outputTokens": 7, "cacheWriteInputTokens": 30, "cacheDetails": kept}
    assert usage_of({"usage": usage}) == Usage(35, 7, 0, 30, 0, 20)


def test_documents_of_one_name_are_told_apart() -> None:
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    talk = [
        {"role": "user", "content": [file, file]},
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": [file]},
    ]
    sent = json.loads(PROVIDER.request({"messages": talk}, "m", max_output_tokens=None).body)["messages"]
    names = [block["document"]["name"] for block in sent[0]["content"]]
    names.append(sent[2]["content"][0]["toolResult"]["content"][0]["document"]["name"])
    assert names == ["document", "document 2", "document 3"]
