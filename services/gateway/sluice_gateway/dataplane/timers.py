"""Time limits for many waits with one timer: a request that ends in time costs two dictionary operations."""

import asyncio
from collections.abc import Callable

_NEVER = float("inf")


class Limits:
    """Calls back when a limit passes, up to a tick late.

    A timer of its own for each request would cost more than parsing its body. The one timer is set for the limit that passes first, and
    never for sooner than a tick: nearly all waits end long before, so that it seldom rings.
    """

    __slots__ = ("_due", "_loop", "_rings", "_tick_s", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, tick_s: float) -> None:
        self._loop = loop
        self._tick_s = tick_s
        self._due: dict[Callable[[], None], float] = {}
        self._rings = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call `callback` once when the loop's clock has passed `when`; a later call replaces an earlier one."""
        self._due[callback] = when
        if when < self._rings:
            self._set(when)

    def cancel(self, callback: Callable[[], None]) -> None:
        """Forget a callback."""
        self._due.pop(callback, None)

    def _set(self, when: float) -> None:
        # A limit within the tick that has begun waits for its end: however many limits there are, it rings once a tick at most.
        rings = max(when, self._loop.time() + self._tick_s)
        if rings < self._rings:
            if self._timer is not None:
                self._timer.cancel()
            self._rings = rings
            self._timer = self._loop.call_at(rings, self._ring)

    def _ring(self) -> None:
        self._rings, self._timer = _NEVER, None
        now = self._loop.time()
        passed = [callback for callback, when in self._due.items() if when <= now]
        for callback in sorted(passed, key=self._due.__getitem__):
            if self._due.pop(callback, None) is not None:
                callback()
        if self._due:
            self._set(min(self._due.values()))
