"""Gaps between the words of streamed answers (inter-token latency, F240), timed on some of the streams.

What is not timed pays nothing: a timed stream has another sink. One stream a second of each model is timed in a process; below that rate
all are. What came in one read has no gap: engines and networks join words, and the client gets them together.
"""

from collections.abc import Callable

from sluice_gateway.dataplane.upstream import Reason, StreamSink
from sluice_gateway.metrics import Spread

_EVERY_S = 1.0


class GapTimer:
    """Times one stream, from one read that brought words to the next."""

    __slots__ = ("_clock", "_last", "_spread")

    def __init__(self, spread: Spread, clock: Callable[[], float]) -> None:
        self._spread = spread
        self._clock = clock
        self._last: float | None = None

    def mark(self, data: bytes) -> None:
        """Note what one read brought: events of an OpenAI stream, whole or in part."""
        if not _brings_words(data):
            return
        now = self._clock()
        if self._last is not None:
            self._spread.observe(now - self._last)
        self._last = now


class Gaps:
    """Chooses the streams of one model that are timed."""

    __slots__ = ("_due", "_spread")

    def __init__(self, spread: Spread) -> None:
        self._spread = spread
        self._due = float("-inf")

    def timer(self, started: float, clock: Callable[[], float]) -> GapTimer | None:
        """Return a timer for a stream whose request came at `started` (of `clock`, seconds), or None if it is not timed."""
        if started < self._due:
            return None
        self._due = started + _EVERY_S
        return GapTimer(self._spread, clock)


class TimedSink:
    """Hands a stream on to another sink and times what it brings."""

    __slots__ = ("_sink", "_timer")

    def __init__(self, sink: StreamSink, timer: GapTimer) -> None:
        self._sink = sink
        self._timer = timer

    def data(self, data: bytes) -> None:
        """Hand it on."""
        self._sink.data(data)
        self._timer.mark(data)

    def chunks(self, data: bytes) -> bool:
        """Hand it on; what is not taken comes again as data."""
        taken = self._sink.chunks(data)
        if taken:
            self._timer.mark(data)
        return taken

    def end(self) -> None:
        """Hand it on."""
        self._sink.end()

    def broken(self, reason: Reason) -> None:
        """Hand it on."""
        self._sink.broken(reason)


def _brings_words(data: bytes) -> bool:
    # Not why the answer ended, nor the counts, nor the end: nobody waits for those. From the end, which is quicker than a pattern.
    if data.rfind(b"data:") < 0 or data.rfind(b"[DONE]") >= 0:
        return False
    at = data.rfind(b'"finish_reason"')
    if at >= 0 and data.find(b"null", at + 15, at + 22) < 0:
        return False
    at = data.rfind(b'"choices"')
    return at < 0 or data.find(b"[]", at + 9, at + 13) < 0
