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


def ended_in(data: bytes, line_ends: list[bytes]) -> bytes:
    """The same lines with these ends, in turn."""
    out = b""
    for line, line_end in zip(data.split(b"\n")[:-1], itertools.cycle(line_ends), strict=False):
        joins = line_end == b"\n" and not line and out.endswith(b"\r")  # CR and LF would be one end
        out += line + (b"\r\n" if joins else line_end)
    return out


@given(
    st.lists(st.text(max_size=12), min_size=1, max_size=6), st.lists(st.integers(0, 1200), max_size=20),
    st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=1, max_size=5), st.booleans(), st.booleans(),
)  # fmt: skip
def test_however_it_is_cut_and_its_lines_end_the_client_sees_the_same(
    texts: list[str], cuts: list[int], line_ends: list[bytes], hide: bool, comment: bool
) -> None:
    events = [chunk(text) for text in texts]
    shown = b"".join([*([b": ping\n\n"] if comment else []), *events, *([] if hide else [PRICED])])
    data = (b": ping\n\n" if comment else b"") + b"".join(events) + USAGE + DONE
    scanner = StreamScanner(None if hide else price)
    out, done = run(scanner, ended_in(data, line_ends), cuts)
    assert out == shown
    assert done
    assert scanner.usage == Usage(5, 2)


@pytest.mark.parametrize("line_end", [b"\r", b"\r\n"])
def test_an_event_goes_on_as_soon_as_it_is_complete(line_end: bytes) -> None:
    scanner = StreamScanner(None)
    assert scanner.feed(chunk("x").replace(b"\n", line_end)).events == chunk("x")
    assert scanner.feed(chunk("y").replace(b"\n", line_end)).events == chunk("y")


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


MOONSHOT = {
    "choices": [
        {"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    ]
}
GROQ = {
    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    "x_groq": {"id": "req_1", "usage": {"prompt_tokens": 5, "completion_tokens": 2, "queue_time": 0.01}},
}


def event(fields: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


@pytest.mark.parametrize("last", [MOONSHOT, GROQ], ids=["Moonshot", "Groq"])
@pytest.mark.parametrize("says_done", [True, False])
def test_counts_in_a_choice_or_beside_the_choices_are_read_and_told_where_all_clients_look(
    last: dict[str, Any], says_done: bool
) -> None:
    scanner = StreamScanner(price)
    out, _ = run(scanner, chunk("x") + event(last) + (DONE if says_done else b""), [])
    first, end, told = split(out)
    assert first + end == chunk("x") + event(last)
    found = chunk_of(told)
    assert found is not None
    assert found["choices"] == []
    assert found["usage"]["sluice"] == {"cost_usd": 0.07}
    assert usage_of(found) == scanner.usage == Usage(5, 2)


def test_a_client_that_asked_for_no_counts_gets_such_chunks_as_they_came() -> None:
    scanner = StreamScanner(None)
    data = chunk("x") + event(MOONSHOT)
    assert run(scanner, data + DONE, []) == (data, True)
    assert scanner.usage == Usage(5, 2)


def test_counts_in_a_choice_give_way_to_those_that_follow() -> None:
    scanner = StreamScanner(price)
    out, _ = run(scanner, event(MOONSHOT) + USAGE.replace(b"5", b"6") + DONE, [])
    found = [chunk_of(one) for one in split(out)]
    assert [one["usage"]["prompt_tokens"] for one in found if one is not None and "usage" in one] == [6]
    assert scanner.usage == Usage(6, 2)


def test_counts_of_each_of_several_answers_are_summed() -> None:
    scanner = StreamScanner(price)
    ends = [{"choices": [{**MOONSHOT["choices"][0], "index": number}]} for number in range(3)]
    out, _ = run(scanner, b"".join(map(event, ends)) + DONE, [])
    told = chunk_of(split(out)[-1])
    assert told is not None
    assert told["usage"]["completion_tokens"] == 6
    assert told["usage"]["sluice"] == {"cost_usd": 0.11}
    assert scanner.usage == Usage(5, 6)


@pytest.mark.parametrize("odd", [{"choices": [3]}, {"choices": {"usage": {}}}, {"x_groq": 3}, {"x_groq": {"usage": 3}}, {
    "choices": [{"index": [], "usage": {"prompt_tokens": "x"}}]}])  # fmt: skip
def test_odd_places_of_counts_are_passed_over(odd: dict[str, Any]) -> None:
    scanner = StreamScanner(price)
    data = event({**odd, "usage": None})
    assert scanner.feed(data).events == data
    assert scanner.usage is None


def test_the_cost_stands_with_the_counts_of_the_whole_answer_only() -> None:
    scanner = StreamScanner(price)
    running = chunk("x", usage={"prompt_tokens": 1, "completion_tokens": 2})
    assert scanner.feed(running).events == running
    ends = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 3}}
    found = chunk_of(scanner.feed(b"data: " + json.dumps(ends).encode() + b"\n\n").events)
    assert found is not None
    assert found["usage"]["sluice"] == {"cost_usd": 0.04}
    assert found["choices"] == ends["choices"]


@pytest.mark.parametrize("says_done", [True, False])
def test_counts_that_come_before_the_last_of_several_answers_are_told_at_the_end(says_done: bool) -> None:
    seen: list[int] = []

    def sum_of(usage: Usage) -> Told:
        seen.append(scanner.chunks)
        return price(usage)

    scanner = StreamScanner(sum_of)
    early = scanner.feed(chunk("one") + USAGE)
    assert early.events == chunk("one")
    assert scanner.feed(chunk("two")).events == chunk("two")
    assert seen == []
    last = scanner.feed(DONE) if says_done else scanner.finish()
    assert (last.events, last.done) == (PRICED, says_done)
    assert seen == [2], "what the counts come to is asked when all answers are there"
    assert scanner.finish().events == b""


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
    ({"prompt_tokens": -1}, None), ({"prompt_tokens": True}, None), ({"prompt_tokens": 3, "completion_tokens": -1}, None),
    ({"prompt_tokens": "3", "completion_tokens": 4.0}, Usage(3, 4)), ({"prompt_tokens": 3.0, "total_tokens": "5"}, Usage(3, 2)),
    ({"prompt_tokens": 2.5}, None), ({"prompt_tokens": "3.0"}, None), ({"prompt_tokens": ""}, None), ({"prompt_tokens": "-3"}, None),
    ({"prompt_tokens": "three"}, None), ({"prompt_tokens": "٣"}, None), ({"prompt_tokens": float("inf")}, None),
    ({"prompt_tokens": float("nan")}, None), ({"prompt_tokens": 1e10}, None), ({"prompt_tokens": "9999999999"}, None),
])  # fmt: skip
def test_usage_must_make_sense(usage: object, expected: object) -> None:
    assert usage_of({"usage": usage}) == expected


def test_events_of_many_lines() -> None:
    assert chunk_of(b'event: x\nid: 3\ndata: {"a": 1}\n\n') == {"a": 1}
    assert chunk_of(b'data: {"a":\ndata: 1}\n\n') == {"a": 1}
    assert chunk_of(b"data: [1]\n\n") is None
    assert split(b"data: 1\n\n\n\ndata: 2\n\n") == [b"data: 1\n\n", b"data: 2\n\n"]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_cut_at_every_byte_with_comments_names_and_data_on_many_lines(newline: bytes) -> None:
    usage = b'data: {"choices": [],\ndata: "usage": {"prompt_tokens": 5,\ndata: "completion_tokens": 2}}\n\n'
    first = b": keep-alive\nevent: x\nid: 1\n" + chunk("one")
    data = (b": ping\n\n" + first + chunk("two") + usage + DONE).replace(b"\n", newline)
    for size in range(1, len(data) + 1):
        scanner = StreamScanner(None)
        out, done = run(scanner, data, list(range(0, len(data), size)))
        assert out == b": ping\n\n" + first + chunk("two"), size
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
