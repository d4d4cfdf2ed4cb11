"""A database that is closed leaves no connection behind, whatever was going on when it was closed."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from sluice.db import Database, open_database
from sluice.testing import platform_settings

pytestmark = pytest.mark.integration
SLOW = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000) SELECT max(x) FROM c"


class Watched:
    """A database on a file of its own, and every driver connection that it opened."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.opened: list[Any] = []
        event.listen(database.engine.sync_engine, "connect", lambda adapted, _: self._note(adapted))

    def _note(self, adapted: Any) -> None:
        self.opened.append(adapted.driver_connection)

    def still_open(self) -> int:
        """Return how many connections are open: a closed one answers no question about itself."""
        count = 0
        for connection in self.opened:
            with contextlib.suppress(ValueError):
                _ = connection.in_transaction
                count += 1
        return count


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(open_database(platform_settings(tmp_path, redis_url="redis://unused"), "gateway"))
    yield watched
    await watched.database.close()


async def _ask(database: Database) -> None:
    async with database.read() as session:
        await session.execute(text("SELECT 1"))


async def test_idle_connections_are_closed(watched: Watched) -> None:
    await asyncio.gather(*(_ask(watched.database) for _ in range(4)))
    assert watched.still_open() > 0
    await watched.database.close()
    assert watched.still_open() == 0


async def test_a_large_transaction_leaves_no_connection_that_holds_what_was_written(watched: Watched) -> None:
    async with watched.database.write() as session:
        await session.execute(text("CREATE TABLE things (raw BLOB)"))
    assert watched.still_open() == 1
    async with watched.database.write(large=True) as session:
        await session.execute(text("INSERT INTO things VALUES (:raw)"), {"raw": bytes(1000)})
    assert watched.still_open() == 0
    async with watched.database.write() as session:
        assert (await session.execute(text("SELECT length(raw) FROM things"))).all() == [(1000,)]
    assert watched.still_open() == 1, "and the next one is kept again"


async def test_a_large_transaction_leaves_no_large_log(watched: Watched) -> None:
    database, file = watched.database, watched.database.engine.url.database
    async with database.write() as session:
        await session.execute(text("CREATE TABLE things (raw BLOB)"))
    with contextlib.closing(sqlite3.connect(str(file))) as other:  # the last one to close would take the log away
        assert other.execute("SELECT count(*) FROM things").fetchall() == [(0,)]
        async with database.write(large=True) as session:
            await session.execute(text("INSERT INTO things VALUES (:raw)"), {"raw": bytes(24 * 2**20)})
        async with database.write() as session:
            await session.execute(text("INSERT INTO things VALUES ('small')"))
        assert 0 < Path(f"{file}-wal").stat().st_size <= 16 * 2**20


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_connection_in_use_is_closed_when_its_session_ends(watched: Watched, cancelled: bool) -> None:
    inside, finish = asyncio.Event(), asyncio.Event()

    async def hold() -> int:
        async with watched.database.read() as session:
            await session.execute(text("SELECT 1"))
            inside.set()
            await finish.wait()
            return int(await session.scalar(text("SELECT 7")))

    holder = asyncio.create_task(hold())
    await inside.wait()
    await watched.database.close()
    if cancelled:
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
    else:
        finish.set()
        assert await holder == 7
    assert watched.still_open() == 0


async def test_closing_ends_though_its_caller_is_cancelled(watched: Watched) -> None:
    await asyncio.gather(*(_ask(watched.database) for _ in range(4)))
    closing = asyncio.create_task(watched.database.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert watched.still_open() == 0


async def test_a_write_that_is_cancelled_leaves_no_lock_behind(tmp_path: Path) -> None:
    """SQLite keeps the transaction of a closed connection as long as one of its cursors is referred to, and with it everybody out."""
    database = open_database(platform_settings(tmp_path), "demo")
    async with database.write() as session:
        await session.execute(text("CREATE TABLE counter (n INTEGER)"))
        await session.execute(text("INSERT INTO counter VALUES (1), (2)"))
    cursors: list[object] = []  # as the frames of an exception do
    begun = asyncio.Event()

    async def write() -> None:
        async with database.write() as session:
            connection = await (await session.connection()).get_raw_connection()
            assert connection.driver_connection is not None
            cursors.append(await connection.driver_connection.execute("SELECT n FROM counter"))
            await session.execute(text("UPDATE counter SET n = n + 1"))
            begun.set()
            await session.execute(text(SLOW))

    task = asyncio.create_task(write())
    await begun.wait()
    await asyncio.sleep(0.02)
    task.cancel()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    with contextlib.closing(
        sqlite3.connect(tmp_path / "data" / "demo.sqlite", timeout=30, isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT sum(n) FROM counter").fetchone() == (3,)
        other.execute("ROLLBACK")
    assert cursors
    await database.close()
