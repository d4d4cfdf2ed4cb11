"""Gaps between the words of streams: what counts as a word, and which streams are timed."""

import pytest

from sluice_gateway.dataplane.gaps import Gaps, GapTimer, TimedSink
from sluice_gateway.dataplane.upstream import Reason
from sluice_gateway.metrics import Spread

WORD = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":null}\n\n'
SPACED = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": null}]}\n\n'
SAYS_SO = b'data: {"choices":[{"index":0,"delta":{"content":"\\"finish_reason\\":\\"stop\\""}}]}\n\n'


def gaps_of(*reads: tuple[float, bytes]) -> tuple[list[int], float]:
    spread = Spread((0.01, 0.05))
    now = [0.0]
    timer = GapTimer(spread, lambda: now[0])
    for at, data in reads:
        now[0] = at
        timer.mark(data)
    return spread.counts, round(spread.total, 6)


def test_the_time_between_words_counts_and_the_time_to_the_first_does_not() -> None:
    assert gaps_of((5.0, WORD), (5.008, WORD), (5.04, SPACED), (5.5, SAYS_SO)) == ([1, 1, 1], 0.5)


def test_words_of_one_read_have_no_gap() -> None:
    assert gaps_of((1.0, WORD), (1.02, WORD * 3)) == ([0, 1, 0], 0.02)


@pytest.mark.parametrize(
    "data",
    [
        b": ping\n\n",
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n',
        b'data: {"choices": [], "usage": {}}\n\n',
        b"data: [DONE]\n\n",
    ],
)
def test_what_is_no_word_ends_no_gap(data: bytes) -> None:
    assert gaps_of((1.0, WORD), (1.03, data), (1.04, WORD)) == ([0, 1, 0], 0.04)


def test_one_stream_a_second_is_timed() -> None:
    gaps = Gaps(Spread((1.0,)))
    timed = [gaps.timer(number / 100, float) is not None for number in range(300)]
    assert sum(timed) == 3
    assert gaps.timer(7.0, float) is not None  # below that rate every one is
    assert gaps.timer(8.5, float) is not None


class Sink:
    """Takes chunks only after the first, as a request does."""

    def __init__(self) -> None:
        self.got: list[object] = []

    def data(self, data: bytes) -> None:
        self.got.append(data)

    def chunks(self, data: bytes) -> bool:
        if self.got:
            self.got.append(data)
        return len(self.got) > 1

    def end(self) -> None:
        self.got.append("end")

    def broken(self, reason: Reason) -> None:
        self.got.append(reason)


def test_a_timed_stream_goes_on_as_it_came_and_every_read_counts_once() -> None:
    spread, sink, now = Spread((1.0,)), Sink(), iter([1.0, 1.5, 1.75])
    timed = TimedSink(sink, GapTimer(spread, lambda: next(now)))
    assert not timed.chunks(WORD)  # comes again as data
    timed.data(WORD)
    assert timed.chunks(WORD)
    timed.data(WORD)
    timed.broken("reset")
    timed.end()
    assert sink.got == [WORD, WORD, WORD, "reset", "end"]
    assert (spread.counts, spread.total) == ([2, 0], 0.75)
