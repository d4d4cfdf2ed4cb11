"""What the control plane does while Redis, the database or the router is away."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.databases import fresh_database
from tests.integration.gateway.control_plane import running_gateway, snapshot, trail

from sluice.contracts.gateway import CreateApiKey
from sluice.contracts.routing import SNAPSHOT_KEY, RoutingSnapshot
from sluice.contracts.usage import UsageRecorded
from sluice.errors import DependencyUnavailable
from sluice.queues import Stream
from sluice.testing import admin_headers, platform_settings, redis_at, valkey_process
from sluice_gateway.adapters.routing import SnapshotHolder
from sluice_gateway.domain.ports import UsageFields
from sluice_gateway.usage.shipper import RedisEventStream

pytestmark = pytest.mark.integration


class RouterStub:
    """A router that answers a snapshot, or is away."""

    def __init__(self) -> None:
        self.answer: RoutingSnapshot | None = None

    async def snapshot(self) -> RoutingSnapshot:
        if self.answer is None:
            raise DependencyUnavailable("The router service cannot be reached.")
        return self.answer


async def until(check: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@asynccontextmanager
async def holding(url: str, router: RouterStub, seen: list[int]):  # type: ignore[no-untyped-def]
    redis = redis_at(url)
    holder = SnapshotHolder(redis, router, lambda made: seen.append(made.version), reload_s=0.2)
    loops = [asyncio.create_task(holder.follow()), asyncio.create_task(holder.look())]
    try:
        yield holder
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await redis.aclose()


async def test_the_router_is_asked_while_redis_is_away_and_versions_never_go_back() -> None:
    with valkey_process() as server:
        server.stop()
        router, seen = RouterStub(), list[int]()
        async with holding(server.url, router, seen) as holder:
            with pytest.raises(DependencyUnavailable):
                await holder.probe()
            router.answer = snapshot(5)
            await until(lambda: seen == [5])
            await holder.probe()
            router.answer = snapshot(4)
            await holder.refresh()
            router.answer = None
            await holder.refresh()
            assert holder.current is not None
            assert holder.current.version == 5
            server.start()
            async with redis_at(server.url) as redis:
                await redis.set(SNAPSHOT_KEY, snapshot(6).model_dump_json())
            await until(lambda: seen == [5, 6])


async def test_keys_go_on_working_without_redis_and_without_the_database(tmp_path: Path) -> None:
    with valkey_process(tmp_path / "valkey") as server:
        platform = platform_settings(tmp_path, redis_url=server.url, router_url="http://127.0.0.1:9")
        async with running_gateway(platform, keys_reload_s=0.2) as gateway:
            first = await gateway.deps.keys.create(CreateApiKey(name="first"), trail())
            server.stop()
            second = await gateway.deps.keys.create(CreateApiKey(name="second"), trail())
            database = platform.data_dir / "gateway.sqlite"
            for path in platform.data_dir.glob("gateway.sqlite*"):
                path.rename(path.with_name(f"away-{path.name}"))
            database.mkdir()  # nothing can be opened at this place
            await gateway.deps.key_store._database.engine.dispose()
            await asyncio.sleep(0.5)
            for made in (first, second):
                assert gateway.deps.ring.lookup(f"Bearer {made.secret}".encode()) is not None
            refused = await gateway.client.get("/admin/keys", headers=admin_headers())
            assert (refused.status_code, refused.json()["code"]) == (503, "dependency_unavailable")


async def test_key_changes_in_another_process_while_redis_is_away_are_found_by_looking(
    postgres: str, tmp_path: Path
) -> None:
    database = await asyncio.to_thread(fresh_database, postgres)
    with valkey_process(tmp_path / "valkey") as server:
        one_platform, two_platform = (
            platform_settings(
                tmp_path / name, redis_url=server.url, database_url=database, router_url="http://127.0.0.1:9"
            )
            for name in ("one", "two")
        )
        server.stop()
        async with (
            running_gateway(one_platform, keys_reload_s=0.2) as one,
            running_gateway(two_platform, keys_reload_s=0.2) as two,
        ):
            made = await one.deps.keys.create(CreateApiKey(name="x"), trail())
            later = await one.deps.keys.create(CreateApiKey(name="y"), trail())
            await until(lambda: two.deps.ring.lookup(f"Bearer {later.secret}".encode()) is not None)
            clock_that_is_late = made.key.created_at - 3600.0
            await one.deps.key_store.revoke(made.key.id, None, trail(clock_that_is_late))

            def disabled() -> bool:
                found = two.deps.ring.lookup(f"Bearer {made.secret}".encode())
                return found is not None and found.disabled

            await until(disabled)


def entries_of(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return list(next(iter(reply.values()))[0] if isinstance(reply, dict) else reply[0][1])


async def test_the_stream_takes_no_more_than_its_slowest_consumers_can_still_read(flushed_valkey: str) -> None:
    stream = Stream("test.usage", UsageRecorded, keep=100)
    async with redis_at(flushed_valkey) as redis:
        target = RedisEventStream(redis, stream)
        for group in ("quick", "slow"):
            await redis.xgroup_create(stream.name, group, id="0", mkstream=True)
        taken = 0
        while await target.append(b"[%d],[0]" % taken):
            taken += 1
        assert taken == 100
        assert await redis.xlen(stream.name) == 100
        quick = entries_of(await redis.xreadgroup("quick", "one", {stream.name: ">"}, count=100))
        await redis.xack(stream.name, "quick", *[entry[0] for entry in quick])
        read = entries_of(await redis.xreadgroup("slow", "one", {stream.name: ">"}, count=50))
        assert not await target.append(b"[1000]"), "pending entries count as unread"
        await redis.xack(stream.name, "slow", *[entry[0] for entry in read])
        assert await target.append(b"[1000]")
        rest = entries_of(await redis.xreadgroup("slow", "one", {stream.name: ">"}, count=1000))
        assert [json.loads(entry[1][b"rows"])[0][0] for entry in rest] == [*range(50, 100), 1000]
        assert len(json.loads(rest[0][1][b"columns"])) == len(UsageFields._fields)
        await redis.xack(stream.name, "slow", *[entry[0] for entry in rest])
        assert await target.append(b"[1001]")
        assert await redis.xlen(stream.name) < 50, "what every group has handled is trimmed, block by block"


async def test_a_stream_that_nobody_reads_is_bounded(flushed_valkey: str) -> None:
    async with redis_at(flushed_valkey) as redis:
        target = RedisEventStream(redis, Stream("test.unread", UsageRecorded, keep=10))
        taken = 0
        while await target.append(b"[1]"):
            taken += 1
        assert taken == 10
