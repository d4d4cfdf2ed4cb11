"""Carries usage from the journal to the Redis stream, in order and at least once."""

import asyncio
import logging
from collections import deque
from typing import Protocol

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.contracts.usage import UsageRecorded
from sluice.queues import RowAppender, Stream
from sluice_gateway.domain.ports import UsageFields
from sluice_gateway.usage.journal import Journal
from sluice_gateway.usage.metrics import UsageMetrics

_log = logging.getLogger(__name__)

_LEAVE_BYTES = 64 * 1024  # so little waits for company again: under load, small batches cost the most
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_FULL_PAUSE_S = 1.0
_LAST_TRY_S = 2.0
_RECENT_S = 30.0
_RECENT_BYTES = 4 * 1024 * 1024
_COLUMNS = orjson.dumps(UsageFields._fields)


class EventStream(Protocol):
    """Where usage goes next.

    Degraded mode: while it raises RedisError or OSError, or answers False, records stay in the journal.
    """

    async def append(self, rows: bytes) -> bool:
        """Append rows (the inside of a JSON array of arrays) in order, all or none; False means that the stream is full."""
        ...


class RedisEventStream:
    """A Redis stream that takes whole batches as one entry."""

    def __init__(self, redis: Redis, stream: Stream[UsageRecorded]) -> None:
        self._append = RowAppender(redis, stream)

    async def append(self, rows: bytes) -> bool:
        """Append a batch; False when consumers are so far behind that the stream would grow over its bound."""
        return await self._append(_COLUMNS, b"[" + rows + b"]")


class Shipper:
    """Reads batches from the journal, appends them to the stream, then commits.

    It sleeps until a record arrives, then waits `linger_s` for company. While Redis is away it tries again with a
    growing pause of at most 5 s. What it shipped in the last half minute, up to 4 MiB, it can ship again when Redis has lost its
    data: what the consumer had stored already changes nothing.
    """

    def __init__(self, journal: Journal, stream: EventStream, metrics: UsageMetrics, *, linger_s: float = 0.25) -> None:
        self._journal = journal
        self._stream = stream
        self._metrics = metrics
        self._linger_s = linger_s
        self._recent: deque[tuple[float, bytes]] = deque()
        self._recent_bytes = 0
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Ship until cancelled."""
        pause = _FIRST_PAUSE_S
        while True:
            await self._journal.wait()
            await asyncio.sleep(self._linger_s)
            try:
                full = await self._drain(_LEAVE_BYTES)
            except (RedisError, OSError) as exc:
                _log.warning(
                    "usage cannot be shipped (%s); %d bytes wait in the journal",
                    type(exc).__name__,
                    self._journal.pending_bytes,
                )
                self._metrics.ship_failures.inc()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            pause = _FIRST_PAUSE_S
            if full:
                await asyncio.sleep(_FULL_PAUSE_S)

    def lost(self) -> None:
        """Ship again what was shipped last: Redis was started anew, or emptied."""
        self._lost.set()

    async def repeat(self) -> None:
        """Wait for losses and make them good, until cancelled."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            self._forget()
            again = [rows for _, rows in self._recent]
            try:
                for rows in again:
                    if not await self._stream.append(rows):
                        break  # a stream that is full has lost nothing
            except (RedisError, OSError):
                self._lost.set()
                await asyncio.sleep(_FIRST_PAUSE_S)
            else:
                _log.warning("Redis may have lost data: %d batches of usage are shipped again", len(again))

    async def finish(self) -> None:
        """Ship what is left within two seconds; the rest waits in the journal for the next start."""
        try:
            async with asyncio.timeout(_LAST_TRY_S):
                await self._drain(0)
        except (RedisError, OSError, TimeoutError) as exc:
            _log.warning("%d bytes of usage stay in the journal (%s)", self._journal.pending_bytes, type(exc).__name__)

    async def _drain(self, leave: int) -> bool:
        # Ships until at most `leave` bytes wait. True says that the stream takes no more now.
        while True:
            batch = self._journal.read()
            if not batch.length:
                return False
            if not await self._stream.append(batch.records):
                _log.warning(
                    "the usage stream is full: its consumer is behind; %d bytes wait in the journal",
                    self._journal.pending_bytes,
                )
                return True
            self._remember(batch.records)
            self._journal.commit(batch.end)
            self._metrics.shipped.inc(batch.length)
            if self._journal.pending_bytes <= leave:
                return False
            await asyncio.sleep(0)

    def _remember(self, rows: bytes) -> None:
        self._recent.append((asyncio.get_running_loop().time(), rows))
        self._recent_bytes += len(rows)
        self._forget()

    def _forget(self) -> None:
        before = asyncio.get_running_loop().time() - _RECENT_S
        while self._recent and (self._recent[0][0] < before or self._recent_bytes > _RECENT_BYTES):
            self._recent_bytes -= len(self._recent.popleft()[1])
