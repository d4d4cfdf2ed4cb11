"""Hub → Gemini → hub, checked against the types of Google's and OpenAI's own SDKs."""

import json
from typing import Any

import pytest
from google.genai import types
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.unit.gateway.translate.samples import ASKED, PNG, TALK, TOOLS, joined, run, sse

from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.gemini.answer import usage_of
from sluice_gateway.translate.gemini.provider import Gemini
from sluice_gateway.translate.hub import read_usage, usage_json
from sluice_gateway.translate.shapes import Usage

Json = dict[str, Any]
PROVIDER = Gemini()
_ASK: list[Json] = [{"role": "user", "content": "q"}]

USAGE: Json = {
    "promptTokenCount": 120,
    "cachedContentTokenCount": 100,
    "candidatesTokenCount": 9,
    "thoughtsTokenCount": 30,
    "totalTokenCount": 159,
}
CONTENT: Json = {
    "candidates": [
        {
            "index": 0,
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Oslo, so", "thought": True},
                    {"text": "Let me look."},
                    {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "fc-2", "name": "clock", "args": {}}},
                ],
            },
            "finishReason": "STOP",
        }
    ],
    "usageMetadata": USAGE,
    "modelVersion": "gemini-3.8-flash",
    "responseId": "r1",
}


def _piece(parts: list[Json], **more: Any) -> Json:
    return {"candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, **more}], "usageMetadata": USAGE}


EVENTS: list[Json] = [
    {**_piece([{"text": "Oslo, ", "thought": True}]), "usageMetadata": {"promptTokenCount": 120}},
    _piece([{"text": "so", "thought": True}]),
    _piece([{"text": "Let me "}]),
    _piece([{"text": "look — ünïcode."}]),
    _piece([{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2ln"}]),
    _piece([{"functionCall": {"id": "fc-2", "name": "clock", "args": {}}}]),
    _piece([{"text": "", "thoughtSignature": "ZW5k"}], finishReason="STOP"),
]


def body_for(fields: Json, model: str = "gemini-3.8-flash") -> Json:
    """Translate, check every part against the SDK's own types (which forbid unknown fields), and return the body."""
    body: Json = json.loads(PROVIDER.request(fields, model).body)
    for content in body["contents"]:
        types.Content.model_validate(content)
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    types.Content.model_validate(body.get("systemInstruction", {}))
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    assert set(body) <= {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings"}
    return body


def test_the_samples_are_what_googles_sdk_accepts() -> None:
    for found in (CONTENT, *EVENTS):
        types.GenerateContentResponse.model_validate(found)


def test_a_whole_conversation_becomes_contents() -> None:
    fields = {"model": "m", "messages": TALK, "tools": TOOLS, "max_tokens": 64, "stop": ["#"], "seed": 3, "top_p": 0.5}
    request = PROVIDER.request(fields, "gemini-3.8-flash")
    body = body_for(fields)
    assert request.path == "/models/gemini-3.8-flash:generateContent"
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Use metric units."}]}
    assert body["contents"] == [
        {
            "role": "user",
            "parts": [
                {"text": "What is this place, and how is the weather there?"},
                {"inlineData": {"mimeType": "image/png", "data": PNG}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "It looks like Oslo."},
                {
                    "functionCall": {"id": "call_1", "name": "weather", "args": {"city": "Oslo"}},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
                {"functionCall": {"id": "call_2", "name": "clock", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "call_1", "name": "weather", "response": {"output": "rain, 4 °C"}}},
                {"functionResponse": {"id": "call_2", "name": "clock", "response": {"output": "17:05"}}},
                {"text": "Thank you. And tomorrow?"},
            ],
        },
    ]
    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == TOOLS[0]["function"]["parameters"]
    assert body["generationConfig"] == {"maxOutputTokens": 64, "topP": 0.5, "seed": 3, "stopSequences": ["#"]}


def test_a_streamed_request_asks_for_events() -> None:
    request = PROVIDER.request({"messages": _ASK, "stream": True}, "tunedModels/mine")
    assert request.path == "/tunedModels/mine:streamGenerateContent?alt=sse"


def test_generated_content_becomes_an_answer_with_every_count() -> None:
    answer = PROVIDER.answer(CONTENT, ASKED)
    parsed = ChatCompletion.model_validate(answer, strict=True)
    choice = parsed.choices[0]
    assert choice.message.content == "Let me look."
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert [call.id for call in choice.message.tool_calls] == ["call_chatcmpl-1_0_0", "fc-2"]
    assert answer["usage"] == {
        "prompt_tokens": 120,
        "completion_tokens": 39,
        "total_tokens": 159,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    assert answer["choices"][0]["message"]["reasoning_content"] == "Oslo, so"


def test_a_signature_goes_back_on_the_call_that_it_came_with() -> None:
    answered = PROVIDER.answer(CONTENT, ASKED)["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": "call_chatcmpl-1_0_0", "content": '{"rain": true}'},
        {"role": "tool", "tool_call_id": "fc-2", "content": "no clock", "is_error": True},
    ]
    body = body_for({"messages": [*_ASK, answered, *results]})
    assert [part.get("thoughtSignature") for part in body["contents"][1]["parts"]] == [None, "c2ln", None]
    responses = [part["functionResponse"]["response"] for part in body["contents"][2]["parts"]]
    assert responses == [{"rain": True}, {"error": "no clock"}]


def test_a_signature_of_words_goes_back_on_the_words() -> None:
    signed = {**CONTENT, "candidates": [{"content": {"parts": [{"text": "a", "thoughtSignature": "dGV4dA=="}]}}]}
    answered = PROVIDER.answer(signed, ASKED)["choices"][0]["message"]
    body = body_for({"messages": [*_ASK, answered, *_ASK]})
    assert body["contents"][1]["parts"] == [{"text": "a", "thoughtSignature": "dGV4dA=="}]


def test_a_stream_becomes_chunks() -> None:
    chunks, stream = run(lambda: PROVIDER.stream(ASKED), [sse(EVENTS)])
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    found = joined(chunks)
    assert (found["content"], found["reasoning"]) == ("Let me look — ünïcode.", "Oslo, so")
    assert found["calls"] == {
        0: {"id": "call_chatcmpl-1_0_0", "name": "weather", "arguments": '{"city":"Oslo"}'},
        1: {"id": "fc-2", "name": "clock", "arguments": "{}"},
    }
    assert [detail.get("id") for detail in found["details"]] == ["call_chatcmpl-1_0_0", None]
    assert found["finish"] == "tool_calls"
    assert stream.usage == Usage(120, 39, 100, 0, 30)
    assert stream.done


def test_a_cut_stream_is_known_as_one_and_has_counted_its_input() -> None:
    chunks, stream = run(lambda: PROVIDER.stream(ASKED), [sse(EVENTS[:1])])
    assert joined(chunks)["finish"] is None
    assert stream.usage == Usage(120, 0)
    assert not stream.done
    assert stream.failure is not None
    assert stream.failure.kind == "failure"


def test_an_error_in_the_middle_of_a_stream() -> None:
    error = {"error": {"code": 503, "message": "projects/12345 is overloaded", "status": "UNAVAILABLE"}}
    _, stream = run(lambda: PROVIDER.stream(ASKED), [sse([*EVENTS[:3], error])])
    assert stream.failure is not None
    assert (stream.failure.kind, stream.failure.message) == ("overloaded", "")


def test_a_blocked_prompt_is_an_answer_that_says_so() -> None:
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 8}}
    types.GenerateContentResponse.model_validate(blocked)
    answer = PROVIDER.answer(blocked, ASKED)
    ChatCompletion.model_validate(answer, strict=True)
    assert answer["choices"][0]["finish_reason"] == "content_filter"
    chunks, stream = run(lambda: PROVIDER.stream(ASKED), [sse([blocked])])
    assert joined(chunks)["finish"] == "content_filter"
    assert stream.done


def test_several_candidates_are_several_choices() -> None:
    assert body_for({"messages": _ASK, "n": 2})["generationConfig"] == {"candidateCount": 2}
    both = [{"index": i, "content": {"parts": [{"text": word}]}, "finishReason": "STOP"} for i, word in enumerate("ab")]
    answer = PROVIDER.answer({"candidates": both, "usageMetadata": USAGE}, ASKED)
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["a", "b"]
    chunks, stream = run(lambda: PROVIDER.stream(ASKED), [sse([{"candidates": [item]} for item in both])])
    assert [(choice["index"], choice["delta"].get("content")) for chunk in chunks for choice in chunk["choices"] if choice["delta"].get("content")] == [(0, "a"), (1, "b")]  # fmt: skip
    assert stream.done


def test_log_probabilities_are_translated() -> None:
    body = body_for({"messages": _ASK, "logprobs": True, "top_logprobs": 2})
    assert body["generationConfig"] == {"responseLogprobs": True, "logprobs": 2}
    result = {
        "chosenCandidates": [{"token": "é", "tokenId": 5, "logProbability": -0.1}],
        "topCandidates": [
            {"candidates": [{"token": "é", "logProbability": -0.1}, {"token": "e", "logProbability": -2.5}]}
        ],
    }
    candidate = {"content": {"parts": [{"text": "é"}]}, "finishReason": "STOP", "logprobsResult": result}
    answer = PROVIDER.answer({"candidates": [candidate]}, ASKED)
    parsed = ChatCompletion.model_validate(answer, strict=True)
    assert parsed.choices[0].logprobs is not None
    assert parsed.choices[0].logprobs.content is not None
    token = parsed.choices[0].logprobs.content[0]
    assert (token.token, token.bytes, [top.token for top in token.top_logprobs]) == ("é", [195, 169], ["é", "e"])


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("OTHER", "stop"),
        ("SPII", "content_filter"),
    ],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    found = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": reason}]}
    assert PROVIDER.answer(found, ASKED)["choices"][0]["finish_reason"] == finish


def test_a_malformed_call_counts_as_a_failure() -> None:
    found = {"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL"}]}
    with pytest.raises(BadAnswer):
        PROVIDER.answer(found, ASKED)
    _, stream = run(lambda: PROVIDER.stream(ASKED), [sse([found])])
    assert stream.failure is not None
    with pytest.raises(BadAnswer):
        PROVIDER.answer({}, ASKED)


@pytest.mark.parametrize(
    ("model", "fields", "thinking"),
    [
        ("gemini-3.8-flash", {"reasoning_effort": "low"}, {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ("gemini-3.8-flash", {"reasoning_effort": "none"}, {"thinkingLevel": "MINIMAL"}),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"reasoning_effort": "high"}, {"includeThoughts": True, "thinkingBudget": 24576}),
        (
            "gemini-2.5-pro",
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            {"includeThoughts": True, "thinkingBudget": 2000},
        ),
        (
            "gemini-4-argon",
            {"thinking": {"type": "enabled", "budget_tokens": 9000}},
            {"includeThoughts": True, "thinkingLevel": "MEDIUM"},
        ),
    ],
)
def test_thinking(model: str, fields: Json, thinking: Json) -> None:
    assert body_for({"messages": _ASK, **fields}, model)["generationConfig"]["thinkingConfig"] == thinking


def test_structured_output_is_native() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert body_for({"messages": _ASK, "response_format": form})["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    anything = body_for({"messages": _ASK, "response_format": {"type": "json_object"}})
    assert anything["generationConfig"] == {"responseMimeType": "application/json"}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", None),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "clock"}}, {"mode": "ANY", "allowedFunctionNames": ["clock"]}),
    ],
)
def test_tool_choices(choice: object, config: Json | None) -> None:
    body = body_for({"messages": _ASK, "tools": TOOLS, "tool_choice": choice})
    assert body.get("toolConfig", {}).get("functionCallingConfig") == config


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 9}, "n"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"tools": TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"temperature": 3}, "temperature"),
        ({"unheard_of": 1}, "unheard_of"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/image"}}]}
                ]
            },
            "messages[0].content[0].image_url",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        PROVIDER.request({"messages": _ASK, **fields}, "gemini-3.8-flash")
    assert caught.value.param == param


def test_an_address_is_fetched_by_the_provider() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "https://example.com/a.JPG?size=1"}}]
    body = body_for({"messages": [{"role": "user", "content": parts}]})
    assert body["contents"][0]["parts"] == [
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a.JPG?size=1"}}
    ]


@pytest.mark.parametrize(
    ("status", "error", "kind", "message", "wait"),
    [
        (400, {"status": "INVALID_ARGUMENT", "message": "Bad `contents` in projects/p-1/x."}, "request", "Bad `contents` in ….", None),
        (
            400,
            {"status": "INVALID_ARGUMENT", "message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]},
            "credential",
            "",
            None,
        ),
        (
            400,
            {"status": "INVALID_ARGUMENT", "message": "The input token count (9) exceeds the maximum number of tokens allowed (5)."},
            "context",
            "The input token count (9) exceeds the maximum number of tokens allowed (5).",
            None,
        ),
        (429, {"status": "RESOURCE_EXHAUSTED", "message": "quota", "details": [{"retryDelay": "34.5s"}]}, "limit", "", 34.5),
        (403, {"status": "PERMISSION_DENIED", "message": "x"}, "credential", "", None),
        (503, {"status": "UNAVAILABLE", "message": "x"}, "overloaded", "", None),
        (500, {"status": "INTERNAL", "message": "x"}, "failure", "", None),
    ],
)  # fmt: skip
def test_refusals(status: int, error: Json, kind: str, message: str, wait: float | None) -> None:
    body = json.dumps({"error": {"code": status, **error}}).encode()
    for shape in (body, b"[" + body + b"]"):
        found = PROVIDER.refusal(status, shape)
        assert (found.kind, found.message, found.retry_after_s) == (kind, message, wait)


def test_tokens_are_counted_of_the_prompt_only() -> None:
    request = PROVIDER.count_request({"messages": TALK, "tools": TOOLS}, "gemini-3.8-flash")
    assert request.path == "/models/gemini-3.8-flash:countTokens"
    inner = json.loads(request.body)["generateContentRequest"]
    assert inner["model"] == "models/gemini-3.8-flash"
    assert len(inner["contents"]) == 3
    assert PROVIDER.count_answer({"totalTokens": 12}) == 12


def test_sound_goes_inline_and_is_counted_by_itself() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    sent = PROVIDER.request(
        {"messages": [{"role": "user", "content": [sound]}]}, "gemini-2.5-flash", max_output_tokens=None
    )
    parts = json.loads(sent.body)["contents"][0]["parts"]
    assert parts == [{"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}]
    kinds = [
        {"modality": "TEXT", "tokenCount": 3},
        {"modality": "AUDIO", "tokenCount": 32},
        {"modality": "IMAGE", "tokenCount": 258},
    ]
    found = usage_of(
        {"usageMetadata": {"promptTokenCount": 293, "candidatesTokenCount": 5, "promptTokensDetails": kinds}}
    )
    assert found == Usage(293, 5, audio_tokens=32, image_tokens=258)
    assert read_usage({"usage": usage_json(found)}) == found


def test_images_of_an_answer_are_passed_on_and_those_of_thoughts_are_not() -> None:
    drawn = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}}
    parts = [
        {"text": "Here."},
        {**drawn, "thought": True},
        drawn,
        {"inlineData": {"mimeType": "text/plain", "data": "eA=="}},
    ]
    found = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": USAGE}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}
    message = PROVIDER.answer(found, ASKED)["choices"][0]["message"]
    assert (message["content"], message["images"]) == ("Here.", [image])
    chunks, _ = run(lambda: PROVIDER.stream(ASKED), [sse([found])])
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [delta["images"] for delta in deltas if "images" in delta] == [[image]]
