"""Reads what was spent of budgets from the records, many in one question: after a start of Redis it is that of all budgets in use."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import chain, islice

from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.leases import CounterName
from sluice_gateway.domain.ports import LeaseStore

_log = logging.getLogger(__name__)
_MOST = 128  # budgets in one question
_AT_ONCE = 4  # questions beside each other, so that a budget with millions of records does not hold up all others
_AGAIN_S = 0.5


class BudgetReader:
    """Reads budgets that the store does not have, those first that requests wait for, and tells `read_them` when some were read.

    Degraded mode: while the records are away they count as read after a pause, the store gives nothing of them, and they come again.
    """

    def __init__(self, store: LeaseStore, read_them: Callable[[Iterable[CounterName]], None]) -> None:
        self._store = store
        self._read_them = read_them
        self._loop = asyncio.get_running_loop()
        self._urgent: dict[CounterName, None] = {}
        self._queue: dict[CounterName, None] = {}
        self._reading: set[CounterName] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._working = 0

    def __contains__(self, name: CounterName) -> bool:
        return name in self._reading or name in self._queue or name in self._urgent

    def read(self, name: CounterName, *, urgent: bool) -> None:
        """Read a budget soon; `urgent` puts it before those that nobody waits for, also if it is in the queue already."""
        if name in self._reading or name in self._urgent:
            return
        if urgent:
            self._queue.pop(name, None)
            self._urgent[name] = None
        else:
            self._queue[name] = None
        if self._working < _AT_ONCE:  # they begin when all that is found now is in the queue
            self._working += 1
            task = self._loop.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Read no more."""
        for task in self._tasks:
            task.cancel()

    async def _work(self) -> None:
        try:
            await self._read_all()
        finally:
            self._working -= 1  # at once when nothing is left, so that whatever comes next finds nobody at work

    async def _read_all(self) -> None:
        while names := list(islice(chain(self._urgent, self._queue), _MOST)):
            for name in names:
                self._urgent.pop(name, None)
                self._queue.pop(name, None)
            self._reading.update(names)
            try:
                await self._store.seed(names)
            except DependencyUnavailable as exc:
                _log.warning("budgets cannot be read from the records (%s); they give nothing until they can", exc)
                await asyncio.sleep(_AGAIN_S)
            finally:
                self._reading.difference_update(names)
            self._read_them(names)
