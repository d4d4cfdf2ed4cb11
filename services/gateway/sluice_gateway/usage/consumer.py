"""Writes usage from the Redis stream to the database, each event once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from sluice.contracts.usage import UsageRecorded
from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.usage import Inserted, RowsRefused
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.usage.metrics import ConsumerMetrics

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0


class UsageTable(Protocol):
    """Where usage ends up.

    Degraded mode: while the database is away, methods raise DependencyUnavailable and the batch waits.
    """

    async def insert(self, *parts: UsageRows) -> int:
        """Add rows and return how many are new; raises RowsRefused, with nothing written, when one cannot be stored."""
        ...

    async def insert_each(self, *parts: UsageRows) -> Inserted:
        """Add rows one by one."""
        ...


class UsageWriter:
    """Handles batches of the usage stream.

    It waits for a database that is away for as long as it takes, because delivering again and again would move good
    events to the dead letters. Events that the database refuses for what they hold go to `bury`.
    """

    def __init__(
        self,
        table: UsageTable,
        metrics: ConsumerMetrics,
        bury: Callable[[Sequence[UsageRecorded]], Awaitable[None]],
        *,
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        self._table = table
        self._metrics = metrics
        self._bury = bury
        self._first_pause_s = first_pause_s

    async def handle(self, parts: Sequence[UsageRows]) -> None:
        """Store a batch; returns when every event is stored or buried."""
        events = sum(map(len, parts))
        pause = self._first_pause_s
        while True:
            try:
                added, refused = await self._insert(parts)
                break
            except DependencyUnavailable as exc:
                _log.warning("%d usage events wait: %s", events, exc.detail)
                self._metrics.database_waits.inc()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
        if refused:
            _log.error("the database refuses usage events %s", ", ".join(event.event_id for event in refused))
            await self._bury(refused)
            self._metrics.dead.inc(len(refused))
        self._metrics.stored.inc(added)
        self._metrics.repeated.inc(events - added - len(refused))

    async def _insert(self, parts: Sequence[UsageRows]) -> Inserted:
        try:
            return Inserted(await self._table.insert(*parts))
        except RowsRefused:
            return await self._table.insert_each(*parts)
