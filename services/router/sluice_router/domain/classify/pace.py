"""Which requests get the stronger model, so that the share that was asked for is met whatever requests come."""

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Sequence
from math import inf

WINDOW = 256
PATIENCE = 24.0
"""Requests by which the stronger model may be behind or ahead before only it, or never it, is taken."""


class Pace:
    """Compares predicted gains with those of the latest requests, and makes up for what was too much or too little.

    A request gets the stronger model when its gain is among the `share` largest of the latest 256, so that the threshold follows
    traffic whose gains are different from those of the training. What the share is still short of (or over) shifts the quantile: an
    integral controller, which bounds the distance between asked and realised share by a few requests in any stretch of traffic.
    Before there were requests, the gains of examples left out of the training stand in for them.
    """

    __slots__ = ("_debt", "_latest", "_ordered", "share")

    def __init__(self, share: float, expected: Sequence[float]) -> None:
        self.share = share
        ordered = sorted(expected) or [0.0]
        # As many as fit the window, evenly from the whole distribution, in an order that does not leave from one end first.
        places = [(place * 0.6180339887498949) % 1.0 for place in range(WINDOW)]
        seeded = [ordered[int(place * len(ordered))] for place in places]
        self._latest = deque(seeded, maxlen=WINDOW)
        self._ordered = sorted(seeded)
        self._debt = 0.0

    def threshold(self) -> float:
        """Return the gain from which the stronger model is taken now."""
        wanted = min(1.0, max(0.0, self.share + self._debt / PATIENCE))
        place = int((1.0 - wanted) * WINDOW)
        if wanted in (0.0, 1.0):
            return inf if wanted == 0.0 else -inf
        return self._ordered[min(place, WINDOW - 1)]

    def takes(self, gain: float) -> bool:
        """Decide on a request and remember it."""
        strong = gain >= self.threshold()
        self._debt += self.share - strong
        self._debt = min(PATIENCE, max(-PATIENCE, self._debt))
        old = self._latest[0]
        del self._ordered[bisect_right(self._ordered, old) - 1]
        self._latest.append(gain)
        insort(self._ordered, gain)
        return strong
