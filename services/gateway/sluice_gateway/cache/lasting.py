"""The third level: answers in the database, where they outlive Redis and every process; written behind the requests."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.cached import Entry, Level

_log = logging.getLogger(__name__)
_WAITING_BYTES = 32 * 1024 * 1024
_AT_ONCE = 200
_PATIENCE_S = 0.25
_REST_S = 1.0
_LINGER_S = 1.0
_CLEAN_S = 60.0
_CLEAN_IDLE_S = 600.0
_GOODBYE_S = 5.0


class AnswerRows(Protocol):
    """Where kept answers lie; its methods raise DependencyUnavailable while it is away."""

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return the entries of these keys, as far as there are any, also those that have expired."""
        ...

    async def put(self, entries: Sequence[tuple[bytes, Entry]]) -> None:
        """Keep entries."""
        ...

    async def clean(self, now: float, most_bytes: int) -> int:
        """Delete what is of no use and the oldest beyond `most_bytes`, and return how many bytes are left."""
        ...


class LastingAnswers:
    """The level. What is put waits in memory for the next round, at most 32 MiB of it; beyond that it is not kept here.

    Degraded mode: while the database is away answers wait as far as there is room, reads are skipped for a second after each
    failure, and requests go on.
    """

    level: Level = "l3"

    def __init__(
        self,
        rows: AnswerRows,
        clock: Clock,
        *,
        most_bytes: int,
        linger_s: float = _LINGER_S,
        clean_s: float = _CLEAN_S,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._most_bytes = most_bytes
        self._linger_s = linger_s
        self._clean_s = clean_s
        self._patience_s = patience_s
        self._waiting: dict[bytes, Entry] = {}
        self._waiting_bytes = 0
        self._put = asyncio.Event()
        self._reads: set[asyncio.Task[dict[bytes, Entry]]] = set()
        self._rests_until = 0.0
        self.on_size: Callable[[int], None] = lambda _size: None

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return the entries of these keys, as far as there are any."""
        waiting = {key: self._waiting[key] for key in keys if key in self._waiting}
        missing = [key for key in keys if key not in waiting]
        if not missing:
            return waiting
        if self._clock.monotonic() < self._rests_until:
            raise DependencyUnavailable("The cache in the database is left alone for a moment.")
        try:
            return waiting | await self._read(self._rows.get(missing))
        except DependencyUnavailable:
            self._rests_until = self._clock.monotonic() + _REST_S
            raise

    async def put(self, entries: Mapping[bytes, Entry], now: float) -> None:
        """Keep entries, with the next round."""
        for key, entry in entries.items():
            self._put_one(key, entry, now)

    def _put_one(self, key: bytes, entry: Entry, now: float) -> None:
        old = self._waiting.pop(key, None)
        self._waiting_bytes += entry.size - (old.size if old is not None else 0)
        if now >= entry.ends or self._waiting_bytes > _WAITING_BYTES:
            self._waiting_bytes -= entry.size
            if now < entry.ends:
                raise DependencyUnavailable("The database does not keep up with the answers.")
            return
        self._waiting[key] = entry
        self._put.set()

    async def run(self) -> None:
        """Write what waits, round after round, and clean up now and then, until cancelled."""
        loop = asyncio.get_running_loop()
        cleaned_at = loop.time()
        written = True  # by an earlier process, perhaps
        while True:
            try:
                if loop.time() - cleaned_at >= (self._clean_s if written else _CLEAN_IDLE_S):
                    self.on_size(await self._rows.clean(self._clock.now(), self._most_bytes))
                    cleaned_at, written = loop.time(), False
                written = await self.write() or written
            except DependencyUnavailable as exc:
                _log.warning("kept answers cannot be written (%s)", exc.detail)
                await asyncio.sleep(_REST_S)
            if not self._waiting:
                await self._more(self._clean_s)
            await asyncio.sleep(self._linger_s)

    async def write(self) -> bool:
        """Write what waits, and tell whether that was anything."""
        wrote = False
        while batch := list(self._waiting.items())[:_AT_ONCE]:
            await self._rows.put(batch)
            wrote = True
            for key, entry in batch:
                if self._waiting.get(key) is entry:
                    del self._waiting[key]
                    self._waiting_bytes -= entry.size
        return wrote

    async def close(self) -> None:
        """Write what still waits, as far as that takes little time."""
        writing = asyncio.create_task(self.write())
        done, late = await asyncio.wait({writing, *self._reads}, timeout=_GOODBYE_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        if writing in done and writing.exception() is not None:
            _log.warning("%d kept answers could not be written at the end", len(self._waiting))

    async def _more(self, timeout_s: float) -> None:
        self._put.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._put.wait()
        except TimeoutError:
            return

    async def _read(self, reading: Coroutine[Any, Any, dict[bytes, Entry]]) -> dict[bytes, Entry]:
        # A query that takes too long is left to end by itself: to cancel it would cost its connection.
        task = asyncio.get_running_loop().create_task(reading)
        self._reads.add(task)
        task.add_done_callback(self._over)
        await asyncio.wait({task}, timeout=self._patience_s)
        if not task.done():
            raise DependencyUnavailable("The cache in the database takes too long.")
        return task.result()

    def _over(self, task: asyncio.Task[dict[bytes, Entry]]) -> None:
        self._reads.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits for it gets it; nobody else has to hear of it
