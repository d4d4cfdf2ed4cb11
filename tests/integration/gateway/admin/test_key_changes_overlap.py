"""Changes of a key that overlap: a slow read of an older state never puts it over a newer one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

import pytest
from tests.unit.gateway.keys.tenants import PEPPER, directory, header, lineage, stored

from sluice.errors import DependencyUnavailable
from sluice.queues import KEYS_CHANGED, KeysChanged, publish
from sluice.testing import redis_at
from sluice_gateway.adapters.key_ring import KeyRingKeeper
from sluice_gateway.domain.ring import MemoryKeyRing
from sluice_gateway.domain.tenancy import Directory, Lineage, StoredOrganization, StoredTeam

pytestmark = [pytest.mark.integration]


Found = TypeVar("Found")


class Mark(NamedTuple):
    number: int


class SlowDatabase:
    """One key, read as it was when the read began; the first read of each kind ends only when it is let go."""

    def __init__(self) -> None:
        self.now = lineage(stored(1))
        self.away = False
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()
        self.slow = False

    async def lineage(self, key_id: str) -> Lineage:
        return await self._read(self.now)

    async def team(self, team_id: str) -> StoredTeam | None:
        return None

    async def organization(self, organization_id: str) -> StoredOrganization | None:
        return None

    async def all(self) -> Directory:
        return await self._read(directory(self.now.key))

    async def mark(self) -> Mark:
        return Mark(id(self.now))

    async def _read(self, found: Found) -> Found:
        if self.away:
            raise DependencyUnavailable("the database is away")
        if self.slow:
            self.slow = False
            self.begun.set()
            await self.let_go.wait()
        return found


class RecordingRing(MemoryKeyRing):
    """Notes after each change whether the key is revoked."""

    def __init__(self) -> None:
        super().__init__(PEPPER)
        self.seen: list[bool] = []

    def put(self, lineage: Lineage) -> None:
        super().put(lineage)
        self.seen.append(revoked(self))

    def replace(self, directory: Directory) -> None:
        super().replace(directory)
        self.seen.append(revoked(self))


@asynccontextmanager
async def following(keeper: KeyRingKeeper) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def revoked(ring: MemoryKeyRing) -> bool:
    record = ring.lookup(header(1))
    assert record is not None
    return record.disabled


@pytest.mark.parametrize("slow", ["message", "load"])
async def test_a_slow_read_does_not_undo_a_revocation(flushed_valkey: str, slow: str) -> None:
    database, ring = SlowDatabase(), RecordingRing()
    async with redis_at(flushed_valkey) as redis:
        keeper = KeyRingKeeper(database, ring, redis, reload_s=60)
        async with following(keeper):
            async with asyncio.timeout(60):
                while not ring.loaded:
                    await asyncio.sleep(0.01)
            database.slow = True
            await publish(redis, KEYS_CHANGED, KeysChanged(key_id="key_1") if slow == "message" else KeysChanged())
            async with asyncio.timeout(60):
                await database.begun.wait()
            database.now = lineage(stored(1, revoked_at=5))
            await keeper.key_changed(database.now)
            assert revoked(ring)
            changes = len(ring.seen)
            database.let_go.set()
            async with asyncio.timeout(60):
                while len(ring.seen) == changes:
                    await asyncio.sleep(0.01)
            assert all(ring.seen[changes:])


async def test_an_answer_of_another_process_is_not_undone_by_an_older_change_of_this_one(flushed_valkey: str) -> None:
    database, ring = SlowDatabase(), MemoryKeyRing(PEPPER)
    older = database.now
    database.now = lineage(stored(1, revoked_at=5))
    async with redis_at(flushed_valkey) as redis:
        keeper = KeyRingKeeper(database, ring, redis, reload_s=60)
        await keeper.load()
        await keeper.key_changed(older)
        assert revoked(ring)


async def test_a_change_holds_here_although_the_database_went_away_after_it(flushed_valkey: str) -> None:
    database, ring = SlowDatabase(), MemoryKeyRing(PEPPER)
    async with redis_at(flushed_valkey) as redis:
        keeper = KeyRingKeeper(database, ring, redis, reload_s=60)
        await keeper.load()
        assert not revoked(ring)
        database.away = True
        await keeper.key_changed(lineage(stored(1, revoked_at=5)))
        assert revoked(ring)
