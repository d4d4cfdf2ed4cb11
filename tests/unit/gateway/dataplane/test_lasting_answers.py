"""What is to be kept in the database waits, is not lost when the database is away, and takes bounded room."""

import asyncio
from collections.abc import Sequence

import pytest

from sluice.errors import DependencyUnavailable
from sluice.testing import FakeClock
from sluice_gateway.cache.lasting import LastingAnswers
from sluice_gateway.domain.cached import Entry


class Rows:
    """Rows that are there, away, or slow."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Entry] = {}
        self.away = False
        self.slow: asyncio.Event | None = None
        self.asked = 0
        self.cleaned = 0

    async def get(self, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        self.asked += 1
        if self.slow is not None:
            await self.slow.wait()
        if self.away:
            raise DependencyUnavailable("The database does not answer.")
        return {key: self.kept[key] for key in keys if key in self.kept}

    async def put(self, entries: Sequence[tuple[bytes, Entry]]) -> None:
        if self.away:
            raise DependencyUnavailable("The database does not answer.")
        self.kept.update(entries)

    async def clean(self, now: float, most_bytes: int) -> int:
        self.cleaned += 1
        return most_bytes


def entry(size: int = 10) -> Entry:
    return Entry("acme", "small", "key_1", (b"x" * size,), stored_at=100.0, ttl_s=60)


def lasting(rows: Rows, clock: FakeClock) -> LastingAnswers:
    return LastingAnswers(rows, clock, most_bytes=1000, linger_s=0, clean_s=0)


async def test_what_waits_is_found_and_written_with_the_next_round() -> None:
    rows = Rows()
    level = lasting(rows, FakeClock())
    await level.put({b"a": entry()}, 100.0)
    await level.put({b"late": entry()}, 160.0)
    assert await level.get([b"a"]) == {b"a": entry()}
    assert (rows.asked, rows.kept) == (0, {})
    sizes: list[int] = []
    level.on_size = sizes.append
    running = asyncio.create_task(level.run())
    async with asyncio.timeout(60):
        while not (rows.kept and sizes):
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert rows.kept == {b"a": entry()}
    assert sizes[0] == 1000
    assert await level.get([b"a"]) == {b"a": entry()}
    assert rows.asked == 1


async def test_while_the_database_is_away_answers_wait_and_reads_are_skipped() -> None:
    rows, clock = Rows(), FakeClock()
    level = lasting(rows, clock)
    rows.away = True
    await level.put({b"a": entry()}, 100.0)
    with pytest.raises(DependencyUnavailable):
        await level.write()
    for _ in range(3):
        with pytest.raises(DependencyUnavailable):
            await level.get([b"b"])
    assert rows.asked == 1
    rows.away = False
    clock.advance(2.0)
    assert await level.get([b"b"]) == {}
    await level.close()
    assert rows.kept == {b"a": entry()}


async def test_what_waits_takes_bounded_room() -> None:
    level = lasting(Rows(), FakeClock())
    await level.put({b"a": entry(20 * 2**20)}, 100.0)
    with pytest.raises(DependencyUnavailable, match="keep up"):
        await level.put({b"b": entry(20 * 2**20)}, 100.0)
    await level.put({b"a": entry(10)}, 100.0)
    await level.put({b"b": entry(20 * 2**20)}, 100.0)
    assert await level.get([b"b"]) != {}


async def test_a_read_that_takes_too_long_is_left_to_end_by_itself() -> None:
    rows = Rows()
    level = lasting(rows, FakeClock())
    rows.slow = asyncio.Event()
    with pytest.raises(DependencyUnavailable, match="too long"):
        await level.get([b"a"])
    rows.slow.set()
    await level.close()
    assert rows.asked == 1
