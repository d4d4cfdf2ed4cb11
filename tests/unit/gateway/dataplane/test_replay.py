"""A whole chat answer as a stream and a stream as a whole answer: nothing is lost, and what cannot be joined is not shown."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_gateway.dataplane.replay import as_stream, as_whole
from sluice_gateway.dataplane.sse import DONE
from sluice_gateway.domain.cached import Entry

_CALL = st.fixed_dictionaries(
    {
        "id": st.text(min_size=1),
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": st.text(min_size=1), "arguments": st.text()}),
    }
)
_MESSAGE = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.one_of(st.none(), st.text())},
    optional={"tool_calls": st.lists(_CALL, min_size=1, max_size=3), "reasoning_content": st.text(min_size=1)},
)
_TOKEN = st.fixed_dictionaries({"token": st.text(), "logprob": st.floats(-9, 0)})


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    choices = [
        {"index": index, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
        for index, (message, logprobs) in enumerate(
            draw(st.lists(st.tuples(_MESSAGE, st.none()), min_size=1, max_size=3))
        )
    ]
    if choices[0]["message"]["content"]:  # type: ignore[index]
        tokens = draw(st.lists(_TOKEN, min_size=1, max_size=3))
        choices[0]["logprobs"] = draw(st.one_of(st.none(), st.just({"content": tokens})))
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}  # fmt: skip


def entry(pieces: tuple[bytes, ...], usage: bytes = b"") -> Entry:
    return Entry("acme", "small", "key_1", pieces, 0.0, 60, streamed=True, usage=usage)


@settings(max_examples=150)
@given(answers())
def test_an_answer_that_becomes_a_stream_becomes_the_same_answer(answer: dict[str, Any]) -> None:
    stream = as_stream(answer)
    assert stream is not None
    assert stream.pieces[-1].endswith(DONE)
    assert as_whole(entry(stream.pieces, stream.usage)) == answer


def events(*deltas: dict[str, Any], finish: str | None = "stop") -> bytes:
    chunks: list[dict[str, Any]] = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + DONE


def test_tool_calls_are_joined_by_their_place() -> None:
    parts = (
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x"'}},
        {"index": 0, "function": {"arguments": ": 1}"}},
    )
    found = as_whole(entry((events(*({"tool_calls": [part]} for part in parts)),)))
    assert found is not None
    calls = found["choices"][0]["message"]["tool_calls"]
    assert [(call["id"], call["function"]) for call in calls] == [
        ("a", {"name": "f", "arguments": '{"x": 1}'}),
        ("b", {"name": "g", "arguments": ""}),
    ]


def test_what_cannot_be_joined_or_has_no_end_is_no_answer() -> None:
    assert as_whole(entry((events({"content": "x"}),))) is not None
    assert as_whole(entry((events({"audio": {"data": "x"}}),))) is None
    assert as_whole(entry((events({"content": "x"}, finish=None),))) is None
    assert as_whole(entry((DONE,))) is None
    assert as_stream({"choices": []}) is None
