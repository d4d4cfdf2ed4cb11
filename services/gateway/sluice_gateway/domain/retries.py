"""Retries: how long to wait before one, and how many a process may make."""

from typing import Literal

RetryOutcome = Literal["made", "no_budget", "no_time"]
HedgeOutcome = Literal["won", "lost", "no_deployment", "no_budget", "no_limit"]

_WINDOW_S = 10.0
_ALWAYS = 10


def pause(tries: int, base_s: float, cap_s: float, drawn: float) -> float:
    """Return the seconds before the next try: "full jitter", anything from nothing to a doubling bound.

    `tries` counts the earlier retries, `drawn` is a random number in [0, 1). Source: M. Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.
    """
    return drawn * min(cap_s, base_s * 2.0**tries)


class RetryBudget:
    """Bounds retries to a share of recent requests, so that a provider in trouble is not asked ever more.

    It costs a request nothing: the count of requests is looked at when a retry is wanted.
    """

    __slots__ = ("_counted", "_made", "_since")

    def __init__(self) -> None:
        self._since = float("-inf")
        self._counted = 0.0
        self._made = 0

    def take(self, now: float, answered: float, share: float) -> bool:
        """Tell whether a retry may be made, and count it; `answered` is the number of requests since the start."""
        elapsed = now - self._since
        if elapsed >= _WINDOW_S:
            recent = (answered - self._counted) * _WINDOW_S / elapsed
            self._since, self._counted, self._made = now, answered - recent, 0
        if self._made >= _ALWAYS + share * (answered - self._counted):
            return False
        self._made += 1
        return True
