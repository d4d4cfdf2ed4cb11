"""Characters that a server cut in two: put together in streams, and no reason to call an answer unreadable."""

import json
import random

import orjson

from sluice_gateway.dataplane.halves import Halves, mended
from sluice_gateway.dataplane.sse import chunk_of, split

SMILE = json.dumps("\U0001f600")[1:-1]
HIGH, LOW = SMILE[:6], SMILE[6:]


def event(text: str, index: int = 0) -> bytes:
    return f'data: {{"choices": [{{"index": {index}, "delta": {{"content": "{text}"}}, "finish_reason": null}}]}}\n\n'.encode()


def said(events: bytes) -> list[tuple[int, str]]:
    chunks = [chunk_of(one) for one in split(events)]
    return [(choice["index"], choice["delta"]["content"]) for chunk in chunks if chunk for choice in chunk["choices"]]


def test_halves_of_two_events_are_one_character() -> None:
    halves = Halves()
    assert said(halves.feed(event(f"a {HIGH}"))) == [(0, "a ")]
    assert said(halves.feed(event(f"{LOW} b"))) == [(0, "\U0001f600 b")]
    assert halves.feed(event("as it came")) == event("as it came")


def test_each_choice_has_its_own_half() -> None:
    halves = Halves()
    events = event(f"a{HIGH}", 0) + event(f"b{HIGH}", 1) + event("", 0) + event(f"{LOW}c", 1) + event(f"{LOW}d", 0)
    assert said(halves.feed(events)) == [(0, "a"), (1, "b"), (0, ""), (1, "\U0001f600c"), (0, "\U0001f600d")]


def test_a_half_alone_is_told_as_lost() -> None:
    assert said(Halves().feed(event(f"a{LOW}b") + event(f"c{HIGH}d"))) == [(0, "a\ufffdb"), (0, "c\ufffdd")]


def test_every_way_of_cutting_reads_the_same() -> None:
    draw = random.Random(3)
    text = "a\U0001f600b\U0001f468\u200d\U0001f469c\u00e9\u6f22" * 4
    units = json.dumps(text)[1:-1].replace("\\u", "\x00\\u").split("\x00")
    written = [piece for unit in units for piece in ((unit[:6], *unit[6:]) if unit.startswith("\\u") else unit)]
    for _ in range(50):
        cuts = sorted(draw.sample(range(len(written)), 12))
        pieces = ["".join(written[start:end]) for start, end in zip([0, *cuts], [*cuts, len(written)], strict=True)]
        halves = Halves()
        assert "".join(shown for piece in pieces for _, shown in said(halves.feed(event(piece)))) == text


def test_what_is_no_json_goes_on_as_it_came() -> None:
    for one in (b": ping\n\n", b"data: [DONE]\n\n", f'data: {{"a": "{HIGH}\n\n'.encode(), f"data: {HIGH}\n\n".encode()):
        assert Halves().feed(one) == one


def test_a_whole_answer_with_halves_is_read() -> None:
    raw = f'{{"choices": [{{"message": {{"content": "a {LOW} b{HIGH}"}}}}], "n": NaN}}'.encode()
    found = mended(raw)
    assert found == {"choices": [{"message": {"content": "a \ufffd b"}}], "n": None}
    assert orjson.dumps(found)
    assert mended(b'{"a": 1}') is None
    assert mended(f'{{"a": "{HIGH}"'.encode()) is None
    assert mended(f'{{"a": "{HIGH}", "b": {10**40}}}'.encode()) is None
