"""A guarded stream: what reaches the client does not depend on how the upstream cut the text."""

import asyncio
import re
from itertools import pairwise
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.contracts.guard import IssueDetail
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.stages.guard_output import Checked
from sluice_gateway.dataplane.stages.stream_guard import StreamGuard

SECRET = "PIN-4711"
BANNED = "forbidden words"


class _Words:
    """Replaces one word and blocks another, as a guardrail would."""

    async def check(
        self, ctx: RequestContext, text: str, *, whole: bool = False, call: dict[str, Any] | None = None
    ) -> Checked:
        if BANNED in text:
            return Checked("No.", blocked=True, details=())
        found: list[IssueDetail] = []
        at = text.find(SECRET)
        while at != -1:
            end = at + len(SECRET)
            found.append(IssueDetail(code="c", detector="d", kind="k", action="redact", score=1.0, start=at, end=end))
            at = text.find(SECRET, end)
        return Checked(text.replace(SECRET, "[PIN]"), blocked=False, details=tuple(found))


def _chunk(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


async def _shown(parts: list[str], *, finish_with_last: bool) -> tuple[str, bool]:
    guard = StreamGuard(_Words(), cast("RequestContext", None), window=60, holdback=24)
    out: list[dict[str, Any]] = []
    chunks = [_chunk(part) for part in parts[:-1]]
    chunks += [_chunk(parts[-1], "stop")] if finish_with_last else [_chunk(parts[-1]), _chunk("", "stop")]
    for chunk in chunks:
        released = await guard.feed(chunk)
        out += released.chunks
        if released.blocked:
            return _text(out), True
    released = await guard.finish()
    return _text(out + released.chunks), released.blocked


def _text(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def _longest_wait(text: str) -> int:
    """Return the most characters that had come and not gone on, one coming after the other."""
    options = Options()
    guard = StreamGuard(
        _Words(),
        cast("RequestContext", None),
        window=options.guard_window_chars,
        holdback=options.guard_holdback_chars,
    )
    shown = longest = 0
    for number, char in enumerate(text, 1):
        released = await guard.feed(_chunk(char))
        shown += len(_text(released.chunks))
        longest = max(longest, number - shown)
    return longest


@given(st.lists(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=14), min_size=150, max_size=200))
@settings(max_examples=15)
def test_at_most_forty_tokens_wait(words: list[str]) -> None:
    assert asyncio.run(_longest_wait(" ".join(words))) <= 160


_WORDS = st.lists(
    st.sampled_from(["hello", "a", "the", SECRET, BANNED, "longer-word-here", "\n", "1234"]), min_size=1, max_size=60
)


@settings(max_examples=150)
@given(words=_WORDS, cuts=st.lists(st.integers(0, 700), max_size=40), finish_with_last=st.booleans())
def test_every_way_of_cutting_shows_the_same(words: list[str], cuts: list[int], finish_with_last: bool) -> None:
    text = " ".join(words)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    parts = [text[start:end] for start, end in pairwise(places)] or [""]
    shown, blocked = asyncio.run(_shown(parts, finish_with_last=finish_with_last))
    assert (shown, blocked) == asyncio.run(_shown(list(text), finish_with_last=False))
    assert blocked == (BANNED in text)
    assert SECRET not in shown
    assert BANNED not in shown
    if not blocked:
        assert shown == text.replace(SECRET, "[PIN]")


def test_what_stands_in_place_of_the_rest_begins_a_paragraph_where_words_went_out() -> None:
    begun = "hello the a " * 20
    late, _ = asyncio.run(_shown(list(begun + BANNED), finish_with_last=False))
    said, between, refusal = late.rpartition("\n\n")
    assert (between, refusal) == ("\n\n", "No.")
    assert said
    assert begun.startswith(said)
    assert asyncio.run(_shown(list(BANNED), finish_with_last=False)) == ("No.", True)


async def _given(*deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the deltas that a guarded stream lets pass of these."""
    guard = StreamGuard(_Words(), cast("RequestContext", None), window=60, holdback=24)
    out = []
    for delta in (*deltas, {}):
        finish = None if delta else "stop"
        out += (
            await guard.feed({"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        ).chunks
    return [choice["delta"] for chunk in out for choice in chunk["choices"]]


def test_text_in_other_fields_of_a_stream_is_judged_or_left_out() -> None:
    signed = {"type": "reasoning.text", "text": "all is well", "signature": "s"}
    sealed = {"type": "reasoning.encrypted", "data": SECRET}
    shown = asyncio.run(
        _given(
            {"reasoning": f"it is {SECRET} here"},
            {"reasoning_details": [signed]},
            {"reasoning_details": [{**signed, "text": f"it is {SECRET}"}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "a piece"}, sealed]},
            {"audio": {"id": "a", "transcript": SECRET}},
            {"function_call": {"name": "f", "arguments": '{"pin": "'}},
            {"function_call": {"arguments": f'{SECRET}"}}'}},
        )
    )
    assert {"reasoning": "it is [PIN] here"} in shown
    assert [delta["reasoning_details"] for delta in shown if "reasoning_details" in delta] == [[signed], [sealed]]
    assert {"function_call": {"name": "f", "arguments": '{"pin": "[PIN]"}'}} in shown
    assert not any("audio" in delta for delta in shown)


def _of(index: int, text: str, finish: str | None = None, **more: object) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}], **more}


async def _passed(chunks: list[dict[str, Any]], *, choices: int = 1) -> tuple[list[dict[str, Any]], bool]:
    guard = StreamGuard(_Words(), cast("RequestContext", None), window=60, holdback=24, choices=choices)
    out: list[dict[str, Any]] = []
    for chunk in chunks:
        released = await guard.feed(chunk)
        out += released.chunks
        if released.blocked:
            return out, True
    released = await guard.finish()
    return out + released.chunks, released.blocked


def test_a_blocked_choice_ends_alone_and_the_others_go_on() -> None:
    good = [f"word{number} " for number in range(60)]
    chunks = [part for text in good for part in (_of(0, f"{BANNED} "), _of(1, text))]
    out, blocked = asyncio.run(_passed([*chunks, _of(0, "", "stop"), _of(1, "", "stop")], choices=2))
    ends = [
        (choice["index"], choice["finish_reason"])
        for chunk in out
        for choice in chunk["choices"]
        if choice["finish_reason"]
    ]
    assert ends == [(0, "content_filter"), (1, "stop")]
    told = [[choice for chunk in out for choice in chunk["choices"] if choice["index"] == index] for index in (0, 1)]
    assert "".join(choice["delta"].get("content") or "" for choice in told[0]) == "No."
    assert "".join(choice["delta"].get("content") or "" for choice in told[1]) == "".join(good)
    assert blocked


def test_an_answer_ends_when_every_choice_of_it_is_blocked() -> None:
    chunks = [_of(index, text) for text in ("words ", f"{BANNED} " * 9, "late " * 90) for index in (0, 1)]
    out, blocked = asyncio.run(_passed(chunks, choices=2))
    assert blocked
    assert "late" not in _text(out)


def test_the_usage_that_comes_with_words_goes_out_once() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    for chunks in (
        [_of(0, "hello"), _of(0, "", "stop", usage=usage)],
        [_of(0, "hello", "stop", usage=usage)],
        [_of(0, "hello", usage=usage), _of(0, "", "stop")],
        [_of(0, "hello", usage=usage)],
        [_of(0, ""), {"id": "1", "choices": [], "usage": usage}],
    ):
        out, blocked = asyncio.run(_passed(chunks))
        assert not blocked
        assert [chunk["usage"] for chunk in out if chunk.get("usage")] == [usage]


def test_what_spells_the_answer_beside_its_text_is_left_out() -> None:
    choice = {
        "index": 0,
        "delta": {"content": f"it is {SECRET} "},
        "text": SECRET,
        "message": {"content": SECRET},
        "token_ids": [4, 7],
        "logprobs": {"content": [{"token": SECRET}]},
        "finish_reason": "stop",
    }
    out, _ = asyncio.run(_passed([{"id": "1", "choices": [choice]}]))
    assert SECRET not in str(out)
    assert not any("token_ids" in one for chunk in out for one in chunk["choices"])


class _Named:
    """Replaces a number where its name stands before it, as detectors know many values."""

    async def check(
        self, ctx: RequestContext, text: str, *, whole: bool = False, call: dict[str, Any] | None = None
    ) -> Checked:
        found = [
            IssueDetail(
                code="c", detector="d", kind="k", action="redact", score=1.0, start=match.start(1), end=match.end(1)
            )
            for match in _PIN.finditer(text)
        ]
        return Checked(_PIN.sub("the pin is [PIN]", text), blocked=False, details=tuple(found))


_PIN = re.compile(r"the pin is (\d+)")


@settings(max_examples=100)
@given(
    words=st.lists(st.sampled_from(["the pin is", "4711", "hello", "a", "longer-word-here"]), min_size=1, max_size=60)
)
def test_a_value_is_known_by_the_words_before_it_wherever_the_stream_is_cut(words: list[str]) -> None:
    async def shown() -> str:
        guard = StreamGuard(_Named(), cast("RequestContext", None), window=60, holdback=24)
        out: list[dict[str, Any]] = []
        for char in text:
            out += (await guard.feed(_chunk(char))).chunks
        return _text(out + (await guard.finish()).chunks)

    text = " ".join(words)
    assert asyncio.run(shown()) == _PIN.sub("the pin is [PIN]", text)
