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
    journal = Journal(folder)
    journal.open()
    shipper = Shipper(journal, stream, UsageMetrics(MetricRegistry(), journal), linger_s=0.01)
    task = asyncio.create_task(shipper.run())
    try:
        yield journal
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await shipper.finish()
        journal.close()


async def shipped(journal: Journal) -> None:
    async with asyncio.timeout(5):
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
        async with asyncio.timeout(5):
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
