"""What a deployment's latest requests took, for hedging by a percentile."""

from collections import deque

KEPT = 256
ENOUGH = 20
_RENEWED_EVERY = 8


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
