"""All levels as one: a hit in a slower level is put into the faster ones, and a new answer into all."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from sluice.errors import DependencyUnavailable
from sluice_gateway.cache.memory import MemoryCache
from sluice_gateway.domain.cached import Entry, Found, Level, is_invalidated

_MEMORY_BYTES = 64 * 1024 * 1024
_MAX_WRITES = 1000


class FarCache(Protocol):
    """A level outside of this process.

    Degraded mode: while it is away its calls raise `DependencyUnavailable`; the level is skipped, and the request goes on.
    """

    level: Level

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """Return the entries of these keys, as far as there are any."""
        ...

    async def put(self, entries: Mapping[bytes, Entry], now: float) -> None:
        """Keep entries until they expire."""
        ...


class Lock(Protocol):
    """Lets one of all processes ask the model for an answer. Degraded mode: away it raises `DependencyUnavailable`."""

    async def take(self, key: bytes) -> bool:
        """Tell whether this process may ask; it loses that right after some time."""
        ...

    async def free(self, key: bytes) -> None:
        """Let others ask, if this process still has the right."""
        ...

    async def taken(self, key: bytes) -> bool:
        """Tell whether a process asks now."""
        ...


class AnswerCache:
    """What is kept, in all levels."""

    def __init__(
        self, memory: MemoryCache | None = None, far: Sequence[FarCache] = (), lock: Lock | None = None
    ) -> None:
        self.memory = memory or MemoryCache(_MEMORY_BYTES)
        self.lock = lock
        self.on_error: Callable[[Level], None] = lambda _level: None
        self._far = tuple(far)
        self._invalidated: dict[str, float] = {}
        self._writes: set[asyncio.Task[None]] = set()

    def at_hand(self, key: bytes, now: float) -> Entry | None:
        """Return what is in memory."""
        return self.memory.get(key, now)

    async def find(self, key: bytes, now: float, *, news: bool = False) -> Found | None:
        """Return what the fastest level has that has it; faster levels have it from then on. `news` as in `find_all`."""
        return (await self.find_all((key,), now, news=news)).get(key)

    async def find_all(self, keys: Sequence[bytes], now: float, *, news: bool = False) -> dict[bytes, Found]:
        """Return what there is under these names, each from the fastest level; faster levels have it from then on.

        `news` says that only what was kept a moment ago can be there: levels that get it late are not asked.
        """
        found = {key: Found(entry, "l1") for key in keys if (entry := self.memory.get(key, now)) is not None}
        for place, far in enumerate(self._far[:1] if news else self._far):
            missing = [key for key in keys if key not in found]
            if not missing:
                break
            valid = {key: entry for key, entry in (await self._get(far, missing)).items() if self._counts(entry, now)}
            for key, entry in valid.items():
                self.memory.put(key, entry)
                found[key] = Found(entry, far.level)
            if place and valid:
                self._write(self._put(self._far[:place], valid, now))
        return found

    def keep(self, key: bytes, entries: Mapping[bytes, Entry], now: float) -> None:
        """Put new answers into all levels, the far ones beside the request; then let other processes know that `key` was asked."""
        entries = {name: entry for name, entry in entries.items() if not is_invalidated(entry, self._invalidated)}
        for name, entry in entries.items():
            self.memory.put(name, entry)
        self._write(self._put_and_free(key, entries, now))

    def invalidate(self, invalidated: Mapping[str, float]) -> int:
        """Forget what is older than these times (unix seconds, by scope), and return how many entries left memory."""
        for scope, at in invalidated.items():
            self._invalidated[scope] = max(at, self._invalidated.get(scope, at))
        return self.memory.purge(invalidated)

    async def take(self, key: bytes) -> bool:
        """Tell whether this process is the one to ask the model; it is when that cannot be found out."""
        if self.lock is None:
            return True
        try:
            return await self.lock.take(key)
        except DependencyUnavailable:
            self.on_error("l2")
            return True

    async def taken(self, key: bytes) -> bool:
        """Tell whether another process asks the model now."""
        try:
            return self.lock is not None and await self.lock.taken(key)
        except DependencyUnavailable:
            self.on_error("l2")
            return False

    async def free(self, key: bytes) -> None:
        """Let other processes ask the model."""
        try:
            if self.lock is not None:
                await self.lock.free(key)
        except DependencyUnavailable:
            self.on_error("l2")

    def free_soon(self, key: bytes) -> None:
        """Let other processes ask the model, beside the request."""
        if self.lock is not None:
            self._write(self.free(key))

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=2.0)

    def _counts(self, entry: Entry, now: float) -> bool:
        return now < entry.ends and not is_invalidated(entry, self._invalidated)

    async def _get(self, far: FarCache, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        try:
            return await far.get(keys)
        except DependencyUnavailable:
            self.on_error(far.level)
            return {}

    async def _put_and_free(self, key: bytes, entries: Mapping[bytes, Entry], now: float) -> None:
        if entries:
            await self._put(self._far, entries, now)
        await self.free(key)

    async def _put(self, levels: Sequence[FarCache], entries: Mapping[bytes, Entry], now: float) -> None:
        for far in levels:
            try:
                await far.put(entries, now)
            except DependencyUnavailable:
                self.on_error(far.level)

    def _write(self, writing: Coroutine[Any, Any, None]) -> None:
        if len(self._writes) >= _MAX_WRITES or (not self._far and self.lock is None):
            writing.close()
            return
        task = asyncio.get_running_loop().create_task(writing)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
