"""Cutting a stream into events, and what is found in them."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.dataplane.sse import EventTooLong, StreamScanner, Told, Usage, chunk_of, split, usage_of


def chunk(content: str, **more: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": content}}], **more}).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}\n\n'
PRICED = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"sluice":{"cost_usd":0.07}}}\n\n'
DONE = b"data: [DONE]\n\n"


def price(usage: Usage) -> Told:
    return Told((usage.prompt_tokens + usage.completion_tokens) / 100)


def run(scanner: StreamScanner, data: bytes, cuts: list[int]) -> tuple[bytes, bool]:
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    out, done = b"", False
    for start, end in itertools.pairwise(edges):
        piece = scanner.feed(data[start:end])
        out += piece.events
        done = done or piece.done
    return out + scanner.finish().events, done


@given(
    st.lists(st.text(max_size=12), min_size=1, max_size=6), st.lists(st.integers(0, 1200), max_size=20),
    st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_however_it_is_cut_the_client_sees_the_same(
    texts: list[str], cuts: list[int], crlf: bool, hide: bool, comment: bool
) -> None:
    events = [chunk(text) for text in texts]
    shown = b"".join([*([b": ping\n\n"] if comment else []), *events, *([] if hide else [PRICED])])
    data = (b": ping\n\n" if comment else b"") + b"".join(events) + USAGE + DONE
    if crlf:
        shown, data = shown.replace(b"\n", b"\r\n"), data.replace(b"\n", b"\r\n")
    scanner = StreamScanner(None if hide else price)
    out, done = run(scanner, data, cuts)
    assert out == shown
    assert done
    assert scanner.usage == Usage(5, 2)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_nonsense_never_raises(parts: list[bytes]) -> None:
    scanner = StreamScanner(None)
    for part in parts:
        scanner.feed(part)
    scanner.finish()


def test_the_word_usage_in_a_text_is_no_usage() -> None:
    scanner = StreamScanner(None)
    data = chunk('say "usage": {"prompt_tokens": 1}') + chunk("[DONE]") + chunk('"error"')
    assert scanner.feed(data) == (data, False)
    assert scanner.usage is None
    assert not scanner.failed
    assert scanner.chunks == 3


def test_usage_beside_a_choice_is_kept() -> None:
    scanner = StreamScanner(None)
    data = chunk("x", usage={"prompt_tokens": 1, "completion_tokens": 2})
    assert scanner.feed(data).events == data
    assert scanner.usage == Usage(1, 2)


def test_the_cost_stands_with_the_counts_of_the_whole_answer_only() -> None:
    scanner = StreamScanner(price)
    running = chunk("x", usage={"prompt_tokens": 1, "completion_tokens": 2})
    assert scanner.feed(running).events == running
    ends = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 3}}
    found = chunk_of(scanner.feed(b"data: " + json.dumps(ends).encode() + b"\n\n").events)
    assert found is not None
    assert found["usage"]["sluice"] == {"cost_usd": 0.04}
    assert found["choices"] == ends["choices"]


def test_an_error_event_is_noticed_and_not_shown() -> None:
    scanner = StreamScanner(None)
    assert scanner.feed(chunk("x") + b'data: {"error": {"message": "host:1"}}\n\n').events == chunk("x")
    assert scanner.failed


def test_a_stream_without_its_last_line_end() -> None:
    scanner = StreamScanner(None)
    scanner.feed(chunk("x"))
    scanner.feed(DONE.strip())
    assert scanner.finish().done


def test_an_event_without_end_is_given_up() -> None:
    scanner = StreamScanner(None)
    with pytest.raises(EventTooLong):
        scanner.feed(b"x" * (9 << 20))


@pytest.mark.parametrize(("usage", "expected"), [
    ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4)), ({"prompt_tokens": 3}, Usage(3, 0)), (None, None), (3, None),
    ({"prompt_tokens": "3"}, None), ({"prompt_tokens": -1}, None), ({"prompt_tokens": True}, None),
])  # fmt: skip
def test_usage_must_make_sense(usage: object, expected: object) -> None:
    assert usage_of({"usage": usage}) == expected


def test_events_of_many_lines() -> None:
    assert chunk_of(b'event: x\nid: 3\ndata: {"a": 1}\n\n') == {"a": 1}
    assert chunk_of(b'data: {"a":\ndata: 1}\n\n') == {"a": 1}
    assert chunk_of(b"data: [1]\n\n") is None
    assert split(b"data: 1\n\n\n\ndata: 2\n\n") == [b"data: 1\n\n", b"data: 2\n\n"]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_cut_at_every_byte_with_comments_names_and_data_on_many_lines(newline: bytes) -> None:
    usage = b'data: {"choices": [],\ndata: "usage": {"prompt_tokens": 5,\ndata: "completion_tokens": 2}}\n\n'
    first = b": keep-alive\nevent: x\nid: 1\n" + chunk("one")
    data = (b": ping\n\n" + first + chunk("two") + usage + DONE).replace(b"\n", newline)
    for size in range(1, len(data) + 1):
        scanner = StreamScanner(None)
        out, done = run(scanner, data, list(range(0, len(data), size)))
        assert out == (b": ping\n\n" + first + chunk("two")).replace(b"\n", newline), size
        assert (done, scanner.usage, scanner.chunks) == (True, Usage(5, 2), 2), size


def test_only_pieces_of_the_answer_are_counted() -> None:
    speaker = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'
    ended = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    pieces = [speaker, chunk("a line\ndata: of an event"), chunk("two"), ended]
    scanner = StreamScanner(None)
    seen = []
    for piece in pieces:
        scanner.feed(piece)
        seen.append(scanner.chunks)
    assert seen == [0, 1, 2, 2]
    at_once = StreamScanner(None)
    at_once.feed(b"".join(pieces))
    assert at_once.chunks == 2


def test_what_is_no_json_passes_also_beside_the_counts_and_the_end() -> None:
    broken = b'data: {"half": \n\n'
    last = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
    events = (
        StreamScanner(None).feed(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' + broken + last + DONE).events
    )
    assert broken in events
    assert b"usage" not in events
