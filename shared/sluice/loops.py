"""Background loops: kept alive after a crash, and slow while there is nothing to do."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from prometheus_client import Counter

from sluice.telemetry.metrics import MetricRegistry

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_HEALTHY_AFTER_S = 60.0
_REST = 5


class Supervisor:
    """Runs named coroutine functions until it is closed; each should loop by itself and return only to end."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._restarts: Counter = registry.counter(
            "sluice_loop_restarts_total", "Restarts of a background loop after a crash", ("loop",)
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start a loop under a name that is unique in this supervisor; the name becomes a metric label."""
        if name in self._tasks:
            raise ValueError(f"a loop named {name!r} is already running")
        self._tasks[name] = asyncio.create_task(self._keep_alive(name, run), name=name)

    async def stop(self, name: str) -> None:
        """Cancel the loop of this name, if there is one, and wait until it has ended; the name is free again."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def is_running(self, name: str) -> bool:
        """Tell whether the loop of this name was started and has not ended."""
        task = self._tasks.get(name)
        return task is not None and not task.done()

    async def close(self) -> None:
        """Cancel all loops and wait until they have ended."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _keep_alive(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause = _FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await run()
            except Exception:  # noqa: BLE001 - the top of a supervised loop: logged, counted, restarted
                _log.exception("loop %s crashed; restarting in %.1f s", name, pause)
                self._restarts.labels(loop=name).inc()
            else:
                return
            if loop.time() - started > _HEALTHY_AFTER_S:
                pause = _FIRST_PAUSE_S
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)


class Rounds:
    """Does a piece of work again and again, seldom while there is nothing to do.

    `work` tells whether there is anything open. While there is, a round follows `every_s` seconds after the one before; else
    five times as late, unless `wake` is called.
    """

    def __init__(self, work: Callable[[], Awaitable[bool]], every_s: float) -> None:
        self._work = work
        self._every_s = every_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that there is something to do, so that a long pause ends now."""
        self._woken.set()

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            self._woken.clear()  # before the work, so that what comes during it counts
            if await self._work():
                await asyncio.sleep(self._every_s)
            else:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._every_s * _REST):
                await self._woken.wait()
        except TimeoutError:
            return
