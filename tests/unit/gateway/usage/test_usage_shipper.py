import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.exceptions import ConnectionError as RedisConnectionError

from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.usage.journal import Journal
from sluice_gateway.usage.metrics import UsageMetrics
from sluice_gateway.usage.shipper import Shipper


class Stream:
    """A stream that can be away (raises) or full (answers False)."""

    def __init__(self) -> None:
        self.taken: list[object] = []
        self.away = False
        self.full = False
        self.calls = 0

    async def append(self, rows: bytes) -> bool:
        self.calls += 1
        if self.away:
            raise RedisConnectionError
        if self.full:
            return False
        self.taken += json.loads(b"[" + rows + b"]")
        return True


@asynccontextmanager
async def shipping(folder: Path, stream: Stream) -> AsyncIterator[Journal]:
    async with a_shipper(folder, stream) as (journal, _):
        yield journal


@asynccontextmanager
async def a_shipper(folder: Path, stream: Stream) -> AsyncIterator[tuple[Journal, Shipper]]:
    journal = Journal(folder)
    journal.open()
    shipper = Shipper(journal, stream, UsageMetrics(MetricRegistry(), journal), linger_s=0.01)
    tasks = [asyncio.create_task(shipper.run()), asyncio.create_task(shipper.repeat())]
    try:
        yield journal, shipper
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await shipper.finish()
        journal.close()


async def shipped(journal: Journal) -> None:
    async with asyncio.timeout(60):
        while journal.pending_bytes:
            await asyncio.sleep(0.01)


async def test_records_are_shipped_in_order_and_an_idle_shipper_does_nothing(tmp_path: Path) -> None:
    stream = Stream()
    async with shipping(tmp_path, stream) as journal:
        for number in range(1200):
            journal.append(b"%d" % number)
        await shipped(journal)
        assert stream.taken == list(range(1200))
        calls = stream.calls
        await asyncio.sleep(0.1)
        assert stream.calls == calls


async def test_nothing_is_committed_while_the_stream_is_away(tmp_path: Path) -> None:
    stream = Stream()
    stream.away = True
    async with shipping(tmp_path, stream) as journal:
        journal.append(b'"one"')
        async with asyncio.timeout(60):
            while stream.calls < 2:
                await asyncio.sleep(0.01)
        assert journal.pending_bytes > 0
        stream.away = False
        await shipped(journal)
    assert stream.taken == ["one"]


async def test_a_full_stream_keeps_records_in_the_journal(tmp_path: Path) -> None:
    stream = Stream()
    stream.full = True
    async with shipping(tmp_path, stream) as journal:
        journal.append(b'"one"')
        await asyncio.sleep(0.1)
        assert journal.pending_bytes > 0
        stream.full = False
        await shipped(journal)
    assert stream.taken == ["one"]


async def test_the_last_records_are_shipped_at_shutdown_and_at_the_latest_by_the_next_start(tmp_path: Path) -> None:
    stream = Stream()
    async with shipping(tmp_path, stream) as journal:
        journal.append(b'"one"')
    assert stream.taken == ["one"]
    stream.away = True
    async with shipping(tmp_path, stream) as journal:
        journal.append(b'"two"')
    stream.away = False
    async with shipping(tmp_path, stream) as journal:
        await shipped(journal)
    assert stream.taken == ["one", "two"]


async def test_what_was_shipped_last_is_shipped_again_when_redis_lost_it(tmp_path: Path) -> None:
    stream = Stream()
    async with a_shipper(tmp_path, stream) as (journal, shipper):
        journal.append(b'"one"')
        await shipped(journal)
        journal.append(b'"two"')
        await shipped(journal)
        stream.taken.clear()
        stream.away = True
        shipper.lost()
        async with asyncio.timeout(60):
            while stream.calls < 4:
                await asyncio.sleep(0.01)
        stream.away = False
        async with asyncio.timeout(60):
            while len(stream.taken) < 2:
                await asyncio.sleep(0.01)
    assert stream.taken == ["one", "two"]


async def test_what_can_be_shipped_again_is_bounded(tmp_path: Path) -> None:
    stream = Stream()
    async with a_shipper(tmp_path, stream) as (journal, shipper):
        for number in range(60):
            journal.append(b'"%d%b"' % (number, b"x" * 100_000))
            await shipped(journal)
        stream.taken.clear()
        shipper.lost()
        async with asyncio.timeout(60):
            while len(stream.taken) < 41:
                await asyncio.sleep(0.01)
    assert len(stream.taken) == 41
    assert str(stream.taken[-1]).startswith("59x")
