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

    async def get(self, key: bytes) -> Entry | None:
        """Return the entry of this key."""
        ...

    async def put(self, key: bytes, entry: Entry, now: float) -> None:
        """Keep an entry until it expires."""
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
        """Return what the fastest level has that has it; faster levels have it from then on.

        `news` says that only what was kept a moment ago can be there: levels that get it late are not asked.
        """
        entry = self.memory.get(key, now)
        if entry is not None:
            return Found(entry, "l1")
        for place, far in enumerate(self._far[:1] if news else self._far):
            entry = await self._get(far, key)
            if entry is not None and now < entry.ends and not is_invalidated(entry, self._invalidated):
                self.memory.put(key, entry)
                if place:
                    self._write(self._put(self._far[:place], key, entry, now))
                return Found(entry, far.level)
        return None

    def keep(self, key: bytes, entry: Entry, now: float) -> None:
        """Put a new answer into all levels, the far ones beside the request; then let other processes know."""
        if not is_invalidated(entry, self._invalidated):
            self.memory.put(key, entry)
            self._write(self._put_and_free(key, entry, now))
        elif self.lock is not None:
            self._write(self.free(key))

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

    async def _get(self, far: FarCache, key: bytes) -> Entry | None:
        try:
            return await far.get(key)
        except DependencyUnavailable:
            self.on_error(far.level)
            return None

    async def _put_and_free(self, key: bytes, entry: Entry, now: float) -> None:
        await self._put(self._far, key, entry, now)
        await self.free(key)

    async def _put(self, levels: Sequence[FarCache], key: bytes, entry: Entry, now: float) -> None:
        for far in levels:
            try:
                await far.put(key, entry, now)
            except DependencyUnavailable:
                self.on_error(far.level)

    def _write(self, writing: Coroutine[Any, Any, None]) -> None:
        if len(self._writes) >= _MAX_WRITES or (not self._far and self.lock is None):
            writing.close()
            return
        task = asyncio.get_running_loop().create_task(writing)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
