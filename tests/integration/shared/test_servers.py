"""The real servers that other tests rely on do start, and our clients of them behave."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from sluice.consumer import StreamConsumer
from sluice.contracts.feedback import FeedbackRecorded
from sluice.db import Session, open_database
from sluice.errors import DependencyUnavailable
from sluice.migrations import upgrade
from sluice.queues import FEEDBACK, KEYS_CHANGED, KeysChanged, append, publish, subscribe
from sluice.redis import open_redis
from sluice.schema import is_current, wait_for_schema
from sluice.testing import platform_settings, valkey_process, valkey_server

pytestmark = pytest.mark.integration

REVISION = """
import sqlalchemy as sa
from alembic import op
revision = "0001"
down_revision = None
def upgrade():
    op.create_table("counter", sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer, nullable=False))
    op.execute("INSERT INTO counter (id, n) VALUES (1, 0)")
def downgrade():
    op.drop_table("counter")
"""


async def test_concurrent_transactions_lose_no_update(database_url: str, tmp_path: Path) -> None:
    platform = platform_settings(tmp_path, database_url=database_url)
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_counter.py").write_text(REVISION)
    assert not await is_current(platform, "demo", versions.parent)
    with pytest.raises(DependencyUnavailable, match="is not at revision 0001"):
        await wait_for_schema(platform, "demo", versions.parent, seconds=0)
    await upgrade(platform, "demo", versions.parent)
    await upgrade(platform, "demo", versions.parent)
    assert await is_current(platform, "demo", versions.parent)
    await wait_for_schema(platform, "demo", versions.parent, seconds=60)
    database = open_database(platform, "demo")

    async def add() -> None:
        for _ in range(20):
            async with database.write() as session:
                lock = "" if database.is_sqlite else " FOR UPDATE"
                n = await session.scalar(text(f"SELECT n FROM counter WHERE id = 1{lock}"))
                await session.execute(text("UPDATE counter SET n = :n WHERE id = 1"), {"n": n + 1})

    await asyncio.gather(*(add() for _ in range(4)))
    async with database.read() as session:
        assert await session.scalar(text("SELECT n FROM counter")) == 80
    values = {"least": 80}
    for look in (database.rows, database.few):
        assert (await look(text("SELECT n FROM counter WHERE n >= :least"), values))[0][0] == 80
    async with database.write() as session:
        await session.execute(text("UPDATE counter SET n = 81"))
        for look in (database.rows, database.few):
            assert not await look(text("SELECT n FROM counter WHERE n > :least"), values)  # not committed yet
    for look in (database.rows, database.few):
        assert [row[0] for row in await look(text("SELECT n FROM counter"), {})] == [81]

    def bump(session: Session) -> int:
        found = int(session.execute(text("UPDATE counter SET n = n + 1 RETURNING n - 1")).scalar_one())
        if found >= 85:
            raise RuntimeError("no further")
        return found

    assert sorted(await asyncio.gather(*(database.transact(bump) for _ in range(4)))) == [81, 82, 83, 84]
    with pytest.raises(RuntimeError):
        await database.transact(bump)
    assert [row[0] for row in await database.rows(text("SELECT n FROM counter"))] == [85]  # what raised was rolled back
    if database.is_sqlite:
        for look in (database.rows, database.few):
            with pytest.raises(DependencyUnavailable):
                await look(text("UPDATE counter SET n = 0 RETURNING n"), {})  # it can only look
    await database.ping()
    await database.close()


def _event(number: int) -> FeedbackRecorded:
    return FeedbackRecorded(
        event_id=f"e{number}", feedback_id=f"f{number}", interaction_id="i", tenant="t", feedback_type="thumbs", at=1.0
    )


async def test_a_batch_that_fails_comes_again_and_bad_entries_are_buried(tmp_path: Path) -> None:
    with valkey_server() as url:
        redis = open_redis(platform_settings(tmp_path, redis_url=url))
        await append(redis, FEEDBACK, [_event(1), _event(2)])
        await redis.xadd(FEEDBACK.name, {b"d": b"not json"})
        seen: list[str] = []
        failures = 1

        async def handle(events) -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise RuntimeError("first try fails")
            seen.extend(event.event_id for event in events)

        consumer = StreamConsumer(
            redis, FEEDBACK, FEEDBACK.read, "g", "c", handle, block_ms=50, claim_after_ms=10, pause_s=0.01
        )
        task = asyncio.create_task(consumer.run())
        async with asyncio.timeout(60):
            while len(seen) < 2:
                await asyncio.sleep(0.05)
        task.cancel()
        assert seen == ["e1", "e2"]
        assert await redis.xlen(FEEDBACK.dead_letters) == 1
        assert (await redis.xpending(FEEDBACK.name, "g"))["pending"] == 0
        await redis.aclose()


async def test_a_subscription_survives_a_restart_of_redis(tmp_path: Path) -> None:
    with valkey_process(tmp_path / "valkey") as server:
        redis = open_redis(platform_settings(tmp_path, redis_url=server.url))
        connected = asyncio.Semaphore(0)
        got: asyncio.Queue[KeysChanged] = asyncio.Queue()

        async def note() -> None:
            connected.release()

        async def listen() -> None:
            async for message in subscribe(redis, KEYS_CHANGED, on_connect=note):
                got.put_nowait(message)

        task = asyncio.create_task(listen())
        async with asyncio.timeout(60):
            await connected.acquire()
            await publish(redis, KEYS_CHANGED, KeysChanged(key_id="one"))
            assert (await got.get()).key_id == "one"
            server.kill()
            server.start()
            await connected.acquire()
            await publish(redis, KEYS_CHANGED, KeysChanged(key_id="two"))
            assert (await got.get()).key_id == "two"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await redis.aclose()
