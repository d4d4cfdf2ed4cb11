"""A client of OpenAI's Responses API on models of any style, checked against OpenAI's own types and SDK."""

import json
from typing import Any

import pytest
from openai.types.chat import completion_create_params
from openai.types.responses import Response, ResponseStreamEvent, response_create_params
from pydantic import TypeAdapter
from tests.unit.gateway.translate import test_anthropic_provider as anthropic
from tests.unit.gateway.translate import test_messages_client as messages
from tests.unit.gateway.translate.samples import PNG, sse
from tests.unit.gateway.translate.sdks import response_from

from sluice_gateway.translate.anthropic.provider import Anthropic
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.events import EventReader
from sluice_gateway.translate.hub import chunk
from sluice_gateway.translate.openai.provider import OpenAI
from sluice_gateway.translate.pairing import Pair
from sluice_gateway.translate.responses.client import Responses
from sluice_gateway.translate.shapes import Asked, Failure

Json = dict[str, Any]
CLIENT = Responses()
_CHAT: TypeAdapter[Any] = TypeAdapter(completion_create_params.CompletionCreateParams)
_REQUEST: TypeAdapter[Any] = TypeAdapter(response_create_params.ResponseCreateParams)
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

REQUEST: Json = {
    "model": "public",
    "instructions": "Be brief.",
    "max_output_tokens": 100,
    "temperature": 0.5,
    "text": {
        "verbosity": "low",
        "format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True},
    },
    "reasoning": {"effort": "low"},
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "function", "name": "weather"},
    "input": [
        {"role": "developer", "content": "Metric."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
            ],
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Let me look.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Oslo"}'},
        {"type": "function_call", "call_id": "call_2", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "sun"}]},
    ],
}
ASKED = Asked("resp_1", "public-model", 1_794_000_000, fields=REQUEST)


def test_a_whole_request_becomes_a_chat() -> None:
    _REQUEST.validate_python(REQUEST)
    body = json.loads(Pair(CLIENT, OpenAI()).request({**REQUEST, "stream": True}, "gpt-5").body)
    _CHAT.validate_python(body, extra="forbid")
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [message["role"] for message in body["messages"]] == [
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert [part["type"] for part in body["messages"][2]["content"]] == ["text", "image_url", "file"]
    assert [call["id"] for call in body["messages"][3]["tool_calls"]] == ["call_1", "call_2"]
    assert [message["content"] for message in body["messages"][4:]] == ["rain", "sun"]
    assert body["tools"][0]["function"] == {"name": "weather", "parameters": {"type": "object"}, "strict": True}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["response_format"]["json_schema"] == {"name": "x", "schema": {"type": "object"}, "strict": True}
    assert (body["max_completion_tokens"], body["reasoning_effort"], body["verbosity"]) == (100, "low", "low")
    assert body["stream_options"] == {"include_usage": True}


def test_a_plain_text_is_enough() -> None:
    assert CLIENT.request({"model": "m", "input": "Hi"})["messages"] == [{"role": "user", "content": "Hi"}]


def test_a_request_works_on_anthropic() -> None:
    fields = {**REQUEST, "text": None}
    body = anthropic.body_for(CLIENT.request(fields))
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["tool_choice"] == {"type": "tool", "name": "weather"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_0"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"truncation": "middle"}, "truncation"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "computer_call_output"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input[0].content[0].file_id"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0].type"),
        ({"input": 5}, "input"),
        ({"input": [], "instructions": None}, "input"),
        ({"input": None}, "input"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        CLIENT.request({**REQUEST, **fields})
    assert caught.value.param == param


def test_an_answer_becomes_a_response() -> None:
    answered = Pair(CLIENT, OpenAI()).answer(json.dumps(messages.ANSWER).encode(), ASKED)
    response = Response.model_validate_json(answered.body)
    Response.model_validate(json.loads(answered.body), strict=True)
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]
    assert response.output_text == "Let me look."
    assert (response.status, response.id, response.model) == ("completed", "resp_1", "public-model")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (100, 60)
    assert response.usage.output_tokens_details.reasoning_tokens == 5
    assert (response.instructions, response.temperature, response.tools[0].type) == ("Be brief.", 0.5, "function")


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_says_so(finish: str, reason: str) -> None:
    choices = [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": "x"}}]
    found = CLIENT.answer({"choices": choices}, ASKED)
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": reason})
    Response.model_validate(found, strict=True)
    with pytest.raises(BadAnswer):
        CLIENT.answer({"choices": []}, ASKED)


def test_a_stream_is_what_the_sdk_puts_together() -> None:
    stream = Pair(CLIENT, OpenAI()).stream(ASKED)
    wire = stream.feed(sse(messages.CHUNKS) + b"data: [DONE]\n\n").events + stream.close()
    payloads = [json.loads(event.data) for event in EventReader().feed(wire)]
    for payload in payloads:
        _EVENT.validate_python(payload)
    assert [payload["sequence_number"] for payload in payloads] == list(range(len(payloads)))
    response, events = response_from(wire)
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]
    assert response.output_text == "Let me look."
    assert [item.arguments for item in response.output if item.type == "function_call"] == ['{"city":"Oslo"}', "{}"]
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    for kind in (
        "response.output_text.done",
        "response.reasoning_summary_text.done",
        "response.function_call_arguments.done",
    ):
        assert kind in kinds


def test_content_in_parts_is_read_as_thoughts_and_words() -> None:
    message = {"role": "assistant", "content": messages.PARTS}
    found = CLIENT.answer({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}, ASKED)
    response = Response.model_validate(found, strict=True)
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.output_text == "Let me look."


def test_a_streamed_refusal_and_a_cut() -> None:
    chunks = [chunk(ASKED, {"content": "a"}), chunk(ASKED, {"refusal": "no"}), chunk(ASKED, {}, "length")]
    stream = CLIENT.stream(ASKED)
    wire = stream.feed(chunks) + stream.finish()
    payloads = [json.loads(event.data) for event in EventReader().feed(wire)]
    for payload in payloads:
        _EVENT.validate_python(payload)
    assert payloads[-1]["type"] == "response.incomplete"
    assert [part["type"] for part in payloads[-1]["response"]["output"][0]["content"]] == ["output_text", "refusal"]


def test_a_broken_stream_ends_as_failed() -> None:
    stream = CLIENT.stream(ASKED)
    wire = stream.feed([chunk(ASKED, {"content": "a"})]) + stream.fail(Failure(429, "rate_limit_error", "Wait."))
    last = json.loads(EventReader().feed(wire)[-1].data)
    _EVENT.validate_python(last)
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "rate_limit_exceeded")


def test_claudes_signatures_survive_a_responses_client() -> None:
    pair = Pair(CLIENT, Anthropic())
    whole = json.loads(pair.answer(json.dumps(anthropic.MESSAGE).encode(), ASKED).body)
    stream = pair.stream(ASKED)
    wire = stream.feed(sse(anthropic.EVENTS, named=True)).events + stream.close()
    streamed = response_from(wire)[0].model_dump(mode="json", exclude_none=True)
    for response, count in ((whole, 2), (streamed, 1)):
        outputs = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": "ok"}
            for item in response["output"]
            if item["type"] == "function_call"
        ]
        fields = {"input": [{"role": "user", "content": "q"}, *response["output"], *outputs]}
        body = anthropic.body_for(CLIENT.request(fields))
        assert body["messages"][1]["content"][:count] == anthropic.MESSAGE["content"][:count]


def test_a_sealed_thought_of_elsewhere_is_left_out() -> None:
    items = [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "gAAAA-not-ours"}]
    assert CLIENT.request({"input": items})["messages"] == []
