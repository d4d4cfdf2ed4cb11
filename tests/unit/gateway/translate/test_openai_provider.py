"""Chat-completion providers behind clients of another style, and Azure's way of the same."""

import json
from typing import Any

import pytest
from tests.unit.gateway.translate.samples import ASKED, run, sse

from sluice_gateway.translate.chat.client import Chat
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.openai.provider import Azure, OpenAI
from sluice_gateway.translate.pairing import Pair, is_same
from sluice_gateway.translate.shapes import Asked, Failure, Usage

Json = dict[str, Any]
_CHUNK: Json = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
_LAST: Json = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
_USAGE: Json = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": "text"}, "tools"),
        ({"tools": 3}, "tools"),
        ({"tools": ["text"]}, r"tools\[0\]"),
        ({"stream": True, "stream_options": 3}, "stream_options"),
        ({"messages": [{"role": "tool", "content": ["text"]}]}, "tool"),
        ({"messages": [{"role": "tool", "content": [{"type": "text", "text": 3}]}]}, "tool"),
    ],
)
def test_a_wrong_shape_is_refused_by_name(fields: Json, named: str) -> None:
    with pytest.raises(Untranslatable, match=named):
        OpenAI().request({"messages": [{"role": "user", "content": "q"}], **fields}, "gpt-5")


def test_azure_names_the_deployment_in_the_path_and_the_version_in_the_query() -> None:
    fields = {"model": "public", "messages": [{"role": "user", "content": "q"}]}
    request = Azure("2025-04-01-preview").request(fields, "my gpt")
    assert request.path == "/openai/deployments/my%20gpt/chat/completions?api-version=2025-04-01-preview"
    assert json.loads(request.body)["model"] == "my gpt"
    assert Azure().request(fields, "gpt-5").path == "/openai/v1/chat/completions"
    assert Azure().credential("k") == ("api-key", "k")
    assert OpenAI().credential("k") == ("authorization", "Bearer k")


def test_the_same_style_may_pass_as_it_came() -> None:
    assert is_same("chat", "openai")
    assert is_same("chat", "azure")
    assert is_same("messages", "anthropic")
    assert not is_same("messages", "bedrock")
    assert not is_same("responses", "openai")


@pytest.mark.parametrize("done", [b"data: [DONE]\n\n", b""])
def test_a_stream_is_read(done: bytes) -> None:
    chunks, stream = run(lambda: OpenAI().stream(ASKED), [sse([_CHUNK, _LAST, _USAGE]) + done])
    assert chunks == [_CHUNK, _LAST, _USAGE]
    assert (stream.usage, stream.finish_reason, stream.done) == (Usage(3, 1), "stop", True)


def test_a_cut_stream_and_an_error_in_one() -> None:
    _, cut = run(lambda: OpenAI().stream(ASKED), [sse([_CHUNK])])
    assert cut.failure is not None
    error = {"error": {"message": "secret-host ran out of memory", "code": 503}}
    _, broken = run(lambda: OpenAI().stream(ASKED), [sse([_CHUNK, error])])
    assert broken.failure is not None
    assert (broken.failure.kind, broken.failure.message) == ("overloaded", "")


def test_a_chat_client_sees_counts_only_when_it_asked() -> None:
    wire = sse([_CHUNK, _LAST, _USAGE]) + b"data: [DONE]\n\n"
    for asked, events in ((True, 3), (False, 2)):
        stream = Pair(Chat(), OpenAI()).stream(Asked("i", "m", 1, include_usage=asked))
        piece = stream.feed(wire)
        assert piece.done
        assert piece.events.count(b"data:") == events
        assert stream.usage == Usage(3, 1)
        assert stream.chunks == 2
        assert stream.close() == b"data: [DONE]\n\n"
    assert b'"code":"c"' in stream.fail(Failure(502, "t", "m", None, "c"))


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "This model's maximum context length is 8 tokens", "code": "context_length_exceeded"}, "context"),
        (400, {"message": "filtered", "code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}, "content"),
        (400, {"message": "bad", "param": "messages", "type": "invalid_request_error"}, "request"),
        (401, {"message": "Incorrect API key provided: sk-abc"}, "credential"),
        (404, {"message": "no such deployment"}, "credential"),
        (429, {"message": "slow down"}, "limit"),
        (429, {"message": "pay", "code": "insufficient_quota"}, "credential"),
        (500, {"message": "x"}, "failure"),
    ],
)  # fmt: skip
def test_refusals(status: int, error: Json, kind: str) -> None:
    assert OpenAI().refusal(status, json.dumps({"error": error}).encode()).kind == kind


def test_an_answer_without_choices_counts_as_a_failure() -> None:
    with pytest.raises(BadAnswer):
        OpenAI().answer({"object": "error"}, ASKED)
