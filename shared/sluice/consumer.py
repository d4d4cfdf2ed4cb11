"""Reads a stream of Redis as one of a group of consumers: at least once, in batches, with dead letters."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from sluice.queues import Entry, Found, Item, Stream
from sluice.redis import REDIS_DOWN

_log = logging.getLogger(__name__)

Handler = Callable[[Sequence[Item]], Awaitable[None]]


@dataclass(slots=True)
class StreamConsumer(Generic[Item]):
    """Reads a stream as one consumer of a group and hands batches to `handle`, which must be idempotent.

    `read` tells what an entry holds (`stream.read`: its payloads). The first entry after a pause waits `gather_s` for others, so
    that a batch under load is large. A batch is acknowledged when `handle` returns, which may take as long as it likes. When it
    raises, the entries stay pending, are delivered again one by one, so that one that is refused takes no other with it, and after
    `max_deliveries` go to the stream's dead-letter stream as they are. Entries of a consumer that died are taken over after
    `claim_after_ms`. After a failure it pauses for `pause_s`. When Redis is away it waits and goes on where it was.
    """

    redis: Redis
    stream: Stream[Any]
    read: Callable[[Entry], Found[Item]]
    group: str
    consumer: str
    handle: Handler[Item]
    batch: int = 200
    gather_s: float = 0.0
    block_ms: int = 5000
    claim_after_ms: int = 15_000
    max_deliveries: int = 5
    pause_s: float = 1.0
    on_dead_letter: Callable[[int], None] = field(default=lambda count: None)

    async def run(self) -> None:
        """Consume until cancelled."""
        pause = 0.2
        while True:
            try:
                await self._ensure_group()
                await self._read_own_pending()
                pause = 0.2
                while True:
                    await self._take_over()
                    await self._read_new()
            except REDIS_DOWN as exc:
                _log.warning(
                    "stream %s: Redis is away (%s); trying again in %.1f s", self.stream.name, type(exc).__name__, pause
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            except ResponseError as exc:
                if "NOGROUP" not in str(exc):  # a Redis that lost its data: make the group again
                    raise

    async def _ensure_group(self) -> None:
        try:
            await self.redis.xgroup_create(self.stream.name, self.group, id="0", mkstream=True)
        except ResponseError as exc:
            if "BUSYGROUP" not in str(exc):
                raise

    async def _read_own_pending(self) -> None:
        # What this consumer had read before it was killed comes first.
        last = b"0"
        while True:
            reply = await self.redis.xreadgroup(self.group, self.consumer, {self.stream.name: last}, count=self.batch)
            entries = _entries(reply)
            if not entries:
                return
            last = entries[-1][0]
            if not await self._process(entries):
                await asyncio.sleep(self.pause_s)

    async def _read_new(self) -> None:
        reply = await self.redis.xreadgroup(
            self.group, self.consumer, {self.stream.name: b">"}, count=self.batch, block=self.block_ms
        )
        entries = _entries(reply)
        if not entries:
            return
        if self.gather_s and len(entries) < self.batch:
            await asyncio.sleep(self.gather_s)
            more = self.batch - len(entries)
            entries += _entries(
                await self.redis.xreadgroup(self.group, self.consumer, {self.stream.name: b">"}, count=more)
            )
        if not await self._process(entries):
            await asyncio.sleep(self.pause_s)

    async def _take_over(self) -> None:
        reply = await self.redis.xautoclaim(
            self.stream.name, self.group, self.consumer, min_idle_time=self.claim_after_ms, count=self.batch
        )
        claimed = [(entry_id, values) for entry_id, values in reply[1] if values]
        if not claimed:
            return
        pending = await self.redis.xpending_range(
            self.stream.name, self.group, claimed[0][0], claimed[-1][0], count=len(claimed), consumername=self.consumer
        )
        tries = {row["message_id"]: int(row["times_delivered"]) for row in pending}
        spent = [entry for entry in claimed if tries.get(entry[0], 0) > self.max_deliveries]
        if spent:
            await self._bury(spent)
        gone = {entry_id for entry_id, _ in spent}
        handled = [await self._process([entry]) for entry in claimed if entry[0] not in gone]
        if not all(handled):
            await asyncio.sleep(self.pause_s)

    async def _process(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> bool:
        good: list[Item] = []
        bad: list[tuple[bytes, dict[bytes, bytes]]] = []
        bad_rows: list[tuple[bytes, dict[bytes, bytes]]] = []
        for entry_id, values in entries:
            try:
                found = self.read(values)
            except (ValueError, KeyError, TypeError):
                bad.append((entry_id, values))
                continue
            good += found.items
            bad_rows += [(entry_id, {b"d": row}) for row in found.unreadable]
        if bad:
            await self._bury(bad)
        buried = {entry_id for entry_id, _ in bad}
        left = [entry_id for entry_id, _ in entries if entry_id not in buried]
        if good:
            try:
                await self._handle(good, left)
            except Exception:  # noqa: BLE001 - the top of a consumer: logged; entries stay pending and come again
                _log.exception(
                    "stream %s: a batch of %d was not handled; it will be delivered again", self.stream.name, len(good)
                )
                return False
        if bad_rows:
            await self._bury(bad_rows, acknowledge=False)
        if left:
            await self.redis.xack(self.stream.name, self.group, *left)
        return True

    async def _handle(self, items: Sequence[Item], entry_ids: Sequence[bytes]) -> None:
        holding = asyncio.create_task(self._hold(entry_ids))
        try:
            await self.handle(items)
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _hold(self, entry_ids: Sequence[bytes]) -> None:
        # What is in work counts as fresh, and not as delivered again: no other consumer takes it over.
        while True:
            await asyncio.sleep(self.claim_after_ms / 3000)
            try:
                await self.redis.xclaim(self.stream.name, self.group, self.consumer, 0, list(entry_ids), justid=True)
            except (RedisError, OSError) as exc:
                _log.warning("stream %s: what is in work cannot be held (%s)", self.stream.name, type(exc).__name__)

    async def _bury(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]], *, acknowledge: bool = True) -> None:
        async with self.redis.pipeline(transaction=True) as pipe:
            for entry_id, values in entries:
                whole: dict[Any, Any] = {b"id": entry_id, **values}
                pipe.xadd(self.stream.dead_letters, whole, maxlen=100_000, approximate=True)
                if acknowledge:
                    pipe.xack(self.stream.name, self.group, entry_id)
            await pipe.execute()
        _log.error("stream %s: %d entries went to %s", self.stream.name, len(entries), self.stream.dead_letters)
        self.on_dead_letter(len(entries))


def _entries(reply: object) -> list[tuple[bytes, dict[bytes, bytes]]]:
    # redis-py answers RESP2 as [[stream, entries]] and RESP3 as {stream: [entries]}.
    if not reply:
        return []
    if isinstance(reply, dict):
        lists = next(iter(reply.values()))
        found = lists[0] if lists and isinstance(lists[0], list) else lists
        return list(found)
    assert isinstance(reply, list)
    return list(reply[0][1])
