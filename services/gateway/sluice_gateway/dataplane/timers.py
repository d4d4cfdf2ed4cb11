"""Time limits for many waits with one timer: a request that ends in time costs two dictionary operations."""

import asyncio
from collections.abc import Callable


class Limits:
    """Calls back when a limit passes, up to a tick late.

    A timer of its own for each request would cost more than parsing its body. The one timer runs only while something waits.
    """

    __slots__ = ("_due", "_loop", "_tick_s", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, tick_s: float) -> None:
        self._loop = loop
        self._tick_s = tick_s
        self._due: dict[Callable[[], None], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call `callback` once when the loop's clock has passed `when`; a later call replaces an earlier one."""
        self._due[callback] = when
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_s, self._tick)

    def cancel(self, callback: Callable[[], None]) -> None:
        """Forget a callback."""
        self._due.pop(callback, None)

    def _tick(self) -> None:
        now = self._loop.time()
        for callback in [callback for callback, when in self._due.items() if when <= now]:
            del self._due[callback]
            callback()
        self._timer = self._loop.call_later(self._tick_s, self._tick) if self._due else None
