"""The lines of a batch: split at any place, checked one by one, answered in OpenAI's shape."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.domain.batch_lines import (
    InputCheck,
    LineWrong,
    RawLine,
    RequestLine,
    answered,
    read_request,
    split_lines,
    tokens_of,
    unanswered,
)
from sluice_gateway.domain.batches import Tokens

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": []}
LINE: dict[str, Any] = {"custom_id": "a", "method": "POST", "url": CHAT, "body": BODY}


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def split(data: bytes, size: int = 7, max_bytes: int = 100) -> list[RawLine]:
    return [line async for line in split_lines(pieces(data, size), max_bytes)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_lines_are_found_wherever_the_pieces_end(size: int) -> None:
    data = b"\xef\xbb\xbf{1}\r\n\n  \n{2}\n" + b"x" * 101 + b"\n{3}\n" + b"y" * 100 + b"\n{4}"
    assert await split(data, size) == [
        RawLine(1, b"{1}"),
        RawLine(4, b"{2}"),
        RawLine(5, None),
        RawLine(6, b"{3}"),
        RawLine(7, b"y" * 100),
        RawLine(8, b"{4}"),
    ]


async def test_a_long_line_at_the_end_is_said_too() -> None:
    assert await split(b"a\n" + b"x" * 500, 50) == [RawLine(1, b"a"), RawLine(2, None)]


@given(st.lists(st.text(alphabet="ab {}\t", max_size=20), max_size=20), st.integers(1, 40))
async def test_splitting_equals_what_python_splits(lines: list[str], size: int) -> None:
    data = "\n".join(lines).encode()
    expected = [
        RawLine(number, line.strip().encode())
        for number, line in enumerate(data.decode().split("\n"), 1)
        if line.strip()
    ]
    assert await split(data, size) == expected


def test_a_right_line_is_a_request() -> None:
    found = read_request(RawLine(3, json.dumps(LINE).encode()), CHAT, 1000)
    assert (found.number, found.custom_id, found.model) == (3, "a", "m")
    assert json.loads(found.body) == BODY


def test_a_moderation_may_leave_its_model_out_and_nothing_else_may() -> None:
    line = {**LINE, "url": "/v1/moderations", "body": {"input": "x"}}
    assert read_request(RawLine(1, json.dumps(line).encode()), "/v1/moderations", 1000).model == "sluice-guardrail"
    line = {**LINE, "url": "/v1/rerank", "body": {"query": "x", "documents": ["a"]}}
    with pytest.raises(LineWrong, match="model"):
        read_request(RawLine(1, json.dumps(line).encode()), "/v1/rerank", 1000)


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"[]", "invalid_json_line", None),
        (b'"x"', "invalid_json_line", None),
        (b"\xff", "invalid_json_line", None),
        (b'{"body":' + b"[" * 300 + b"]" * 300 + b"}", "invalid_json_line", None),
        ({**LINE, "custom_id": ""}, "invalid_custom_id", "custom_id"),
        ({**LINE, "custom_id": 7}, "invalid_custom_id", "custom_id"),
        ({**LINE, "custom_id": "x" * 513}, "invalid_custom_id", "custom_id"),
        ({**LINE, "method": "GET"}, "invalid_method", "method"),
        ({**LINE, "url": "/v1/embeddings"}, "invalid_url", "url"),
        ({**LINE, "body": "x"}, "invalid_body", "body"),
        ({**LINE, "body": {"messages": []}}, "missing_required_parameter", "body.model"),
        ({**LINE, "body": {**BODY, "model": "a\x00b"}}, "missing_required_parameter", "body.model"),
        ({**LINE, "body": {"model": "m"}}, "missing_required_parameter", "body.messages"),
        ({**LINE, "body": {**BODY, "stream": True}}, "invalid_stream", "body.stream"),
    ],
)
def test_a_wrong_line_says_what_to_change(line: Any, code: str, param: str | None) -> None:
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    with pytest.raises(LineWrong) as wrong:
        read_request(RawLine(1, data), CHAT, 1000)
    assert (wrong.value.code, wrong.value.param) == (code, param)
    assert wrong.value.message.endswith(".")


def check(*lines: Any, max_lines: int = 1000) -> InputCheck:
    found = InputCheck(CHAT, max_lines, 1000)
    for number, line in enumerate(lines, 1):
        if not found.take(RawLine(number, None if line is None else json.dumps(line).encode())):
            break
    return found


def test_an_input_is_checked_as_a_whole() -> None:
    right = check(LINE, {**LINE, "custom_id": "b"})
    assert (right.mistakes(), right.found()) == ([], (2, "m"))
    mixed = check(LINE, {**LINE, "custom_id": "b", "body": {**BODY, "model": "n"}})
    assert mixed.found().model is None
    wrong = check(LINE, None, LINE)
    assert [(error.line, error.code) for error in wrong.mistakes()] == [
        (2, "line_too_long"),
        (3, "duplicate_custom_id"),
    ]
    assert "stands in line 1" in wrong.mistakes()[1].message
    assert [error.code for error in check().mistakes()] == ["empty_file"]
    many = check(LINE, {**LINE, "custom_id": "b"}, {**LINE, "custom_id": "c"}, max_lines=2)
    assert [(error.line, error.code) for error in many.mistakes()] == [(3, "too_many_requests")]


def test_only_the_first_mistakes_are_kept_and_all_are_counted() -> None:
    found = check(*[{**LINE, "method": "GET", "custom_id": str(n)} for n in range(150)])
    assert (len(found.mistakes()), found.error_count) == (100, 150)


def test_answers_have_openais_shape() -> None:
    line = RequestLine(4, "é", "m", b"{}")
    good = answered("req_1", line, 200, b'{\n "usage": {"prompt_tokens": 3, "completion_tokens": 2}}', "batch_req_1")
    assert (good.line, good.ok, good.tokens) == (4, True, Tokens(3, 0, 2, 0))
    assert "\n" not in good.text
    assert json.loads(good.text) == {
        "id": "batch_req_1",
        "custom_id": "é",
        "response": {
            "status_code": 200,
            "request_id": "req_1",
            "body": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        },
        "error": None,
    }
    refused = answered("req_2", line, 400, b"<html>\xff", "batch_req_2")
    assert (refused.ok, json.loads(refused.text)["response"]["body"]) == (False, "<html>\ufffd")
    missing = unanswered(4, "é", "batch_expired", "Too late.", "batch_req_3")
    assert json.loads(missing.text)["error"] == {"code": "batch_expired", "message": "Too late."}
    assert json.loads(missing.text)["response"] is None


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (
            {
                "usage": {
                    "prompt_tokens": 9,
                    "prompt_tokens_details": {"cached_tokens": 4},
                    "completion_tokens": 5,
                    "completion_tokens_details": {"reasoning_tokens": 3},
                }
            },
            Tokens(9, 4, 5, 3),
        ),
        (
            {
                "usage": {
                    "input_tokens": 9,
                    "input_tokens_details": {"cached_tokens": 4},
                    "output_tokens": 5,
                    "output_tokens_details": {"reasoning_tokens": 3},
                }
            },
            Tokens(9, 4, 5, 3),
        ),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": True}}, Tokens()),
        ({"usage": None}, Tokens()),
        ({"usage": {"prompt_tokens": 1, "prompt_tokens_details": None}}, Tokens(1)),
        ("text", Tokens()),
        (None, Tokens()),
    ],
)
def test_tokens_are_read_in_all_spellings(body: Any, tokens: Tokens) -> None:
    assert tokens_of(body) == tokens
