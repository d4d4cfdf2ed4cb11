"""The lives of this gateway: each start is one, and one that was killed leaves behind what it held of limits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.contracts.usage import UsageRecorded
from sluice.errors import DependencyUnavailable
from sluice.queues import Stream
from sluice_gateway.adapters.lease_store import LIVES, PREFIX, counters_of
from sluice_gateway.domain.leases import BUDGETS, CounterName, counter_of, nano_dollars
from sluice_gateway.usage.journal import Journal

_log = logging.getLogger(__name__)
_LOOK_S = 0.5
_AWAY_S = 2.0
_AT_ONCE = 500  # budgets that are read by one question

_REPLACE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':0') end
"""


class LifeBook:
    """The lives of this data folder whose part of the limits is not cleared up: the one that runs, and killed ones before it.

    The folder belongs to one process at a time; the usage journal's lock sees to that.
    """

    def __init__(self, path: Path, life: str) -> None:
        self._path = path
        self.life = life
        self.earlier = _read(path)
        self._write((*self.earlier, life))

    def forget(self, life: str) -> None:
        """Note that nothing is left to clear up of a life."""
        self.earlier = tuple(other for other in self.earlier if other != life)
        own = () if life == self.life else (self.life,)
        self._write((*self.earlier, *own))

    def _write(self, lives: tuple[str, ...]) -> None:
        new = self._path.with_suffix(".new")
        new.write_bytes(orjson.dumps(lives))
        new.replace(self._path)


class Spending(Protocol):
    """What was spent, from the records. Raises DependencyUnavailable while they are away."""

    async def spent(self, names: Sequence[CounterName], life: str | None = None) -> dict[CounterName, dict[str, float]]:
        """Return the dollars that a life spent in the windows of budgets."""
        ...


class Clearing:
    """Clears up after killed lives: their places are free at once, and of budgets they have what their records say.

    The second waits until all that they wrote into the journal is in the database. Degraded mode: while Redis or the database is
    away, what a killed life held counts as spent.
    """

    def __init__(
        self, book: LifeBook, redis: Redis, journal: Journal, stream: Stream[UsageRecorded], spending: Spending
    ) -> None:
        self._book = book
        self._redis = redis
        self._journal = journal
        self._stream = stream
        self._spending = spending
        self._replace = redis.register_script(_REPLACE)

    async def run(self) -> None:
        """Clear up, and end."""
        for life in self._book.earlier:
            await self._until_done(lambda life=life: self._free_places(life))  # type: ignore[misc] # the loop's own value
        if self._book.earlier:
            await _until(self._is_shipped)
            await self._until_done(self._until_stored)
        for life in self._book.earlier:
            await self._until_done(lambda life=life: self._replace_budgets(life))  # type: ignore[misc] # as above
            self._book.forget(life)

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (RedisError, OSError, DependencyUnavailable) as exc:
                _log.warning("what an earlier run held of limits cannot be cleared up yet (%s)", type(exc).__name__)
                await asyncio.sleep(_AWAY_S)
            else:
                return

    async def _free_places(self, life: str) -> None:
        await self._redis.hdel(LIVES, life)
        for key in await self._counters(life):
            if counter_of(key.removeprefix(PREFIX)).kind == "concurrent":
                await self._redis.hdel(key, life)

    async def _until_stored(self) -> None:
        # What is in the stream now is stored when every group has read up to here and left nothing pending before.
        if not await self._redis.exists(self._stream.name):
            return
        last = _place((await self._redis.xinfo_stream(self._stream.name))["last-generated-id"])
        await _until(lambda: self._all_beyond(last))

    async def _is_shipped(self) -> bool:
        return not self._journal.recalling

    async def _all_beyond(self, last: tuple[int, ...]) -> bool:
        groups = await self._redis.xinfo_groups(self._stream.name)
        for group in groups:
            if _place(group["last-delivered-id"]) < last:
                return False
            if group["pending"]:
                oldest = (await self._redis.xpending(self._stream.name, group["name"]))["min"]
                if oldest is not None and _place(oldest) <= last:
                    return False
        return bool(groups)

    async def _replace_budgets(self, life: str) -> None:
        named = {key: counter_of(key.removeprefix(PREFIX)) for key in await self._counters(life)}
        budgets = [(key, name) for key, name in named.items() if name.kind in BUDGETS]
        for start in range(0, len(budgets), _AT_ONCE):
            some = budgets[start : start + _AT_ONCE]
            spent = await self._spending.spent([name for _, name in some], life)
            for key, name in some:
                await self._replace(keys=[key], args=[life, nano_dollars(spent.get(name, {}).get(life, 0.0))])
        await self._redis.delete(counters_of(life))
        _log.info("budgets have what the run %s spent, not what it held", life)

    async def _counters(self, life: str) -> list[str]:
        found = await self._redis.smembers(counters_of(life))
        return [key.decode() if isinstance(key, bytes) else key for key in found]


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await holds():
            return
        await asyncio.sleep(_LOOK_S)


def _read(path: Path) -> tuple[str, ...]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return ()
    return tuple(life for life in found if isinstance(life, str)) if isinstance(found, list) else ()


def _place(entry: bytes | str) -> tuple[int, ...]:
    text = entry.decode() if isinstance(entry, bytes) else entry
    return tuple(int(part) for part in text.split("-"))
