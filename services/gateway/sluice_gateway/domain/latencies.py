"""What a deployment's latest requests took: for hedging by a percentile, and for choosing the quickest replica."""

import math
from collections import deque

KEPT = 256
ENOUGH = 20
_RENEWED_EVERY = 8
FORGOTTEN_AFTER_S = 10.0


class Latencies:
    """The latest latencies in seconds; a quantile of them is computed anew after every eighth."""

    __slots__ = ("_count", "_found", "_latest")

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=KEPT)
        self._found: dict[float, float] = {}
        self._count = 0

    def note(self, seconds: float) -> None:
        """Take one latency."""
        self._latest.append(seconds)
        self._count += 1
        if not self._count % _RENEWED_EVERY:
            self._found.clear()

    def quantile(self, share: float) -> float | None:
        """Return the least latency that at least `share` (0 to 1) of the latest did not exceed, None while fewer than twenty are known."""
        if len(self._latest) < ENOUGH:
            return None
        found = self._found.get(share)
        if found is None:
            ordered = sorted(self._latest)
            found = self._found[share] = ordered[min(len(ordered) - 1, int(share * len(ordered)))]
        return found


class Usual:
    """The latency to expect, in seconds: a mean that follows rises at once and falls slowly (peak EWMA, as in Twitter's Finagle).

    What was seen counts 1/e after ten seconds, also while nothing new is seen, so that a replica which was slow is tried again.
    """

    __slots__ = ("_at", "_mean")

    def __init__(self) -> None:
        self._mean: float | None = None
        self._at = 0.0

    def note(self, seconds: float, now: float) -> None:
        """Take one latency; `now` is any clock's seconds, the same as of `expected`."""
        if self._mean is None or seconds > self._mean:
            self._mean = seconds
        else:
            kept = math.exp((self._at - now) / FORGOTTEN_AFTER_S)
            self._mean = seconds + (self._mean - seconds) * kept
        self._at = now

    def expected(self, now: float) -> float | None:
        """Return the latency, None when none was ever seen."""
        return None if self._mean is None else self._mean * math.exp((self._at - now) / FORGOTTEN_AFTER_S)
