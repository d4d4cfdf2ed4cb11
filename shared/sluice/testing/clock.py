"""Clocks for tests: one that stands still until it is told to go on, and one that begins where no window of time ends soon."""

import time


class FakeClock:
    """Both kinds of time advance together, by `advance` only."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> float:
        """Return unix seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        self._monotonic += seconds


class EarlyClock:
    """Runs as the machine's does, from noon on: no minute, day or month of a limit ends within a test of less than a minute."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self, noon: float = 1_700_049_600.0) -> None:
        self._ahead = noon - time.monotonic()

    def now(self) -> float:
        """Return unix seconds of a day of its own."""
        return time.monotonic() + self._ahead
