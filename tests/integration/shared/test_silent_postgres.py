"""A PostgreSQL that takes what is sent and never answers: a stopped process, a hung host, a link that died without a word."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from tests.integration.databases import fresh_database
from tests.integration.gateway.control_plane import running_gateway
from tests.integration.shared.silent_link import link_to_postgres

from sluice.db import Database, open_database
from sluice.errors import DependencyUnavailable
from sluice.health import failing
from sluice.testing import admin_headers, platform_settings, postgres_server

pytestmark = pytest.mark.integration


Server = tuple[str, Callable[[], list[psutil.Process]]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL of these tests' own: its URL, and what finds its processes."""
    with postgres_server(durable=False) as url:
        first = asyncio.run(_first_process(url))
        yield url, lambda: [first, *first.children(recursive=True)]


async def _first_process(url: str) -> psutil.Process:
    connection = await asyncpg.connect(url)
    try:
        found = psutil.Process(connection.get_server_pid()).parent()
    finally:
        await connection.close()
    assert found is not None
    return found


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """Keep them from running; they keep their connections, and the kernel takes new ones for them."""
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


@asynccontextmanager
async def opened(url: str, folder: Path, answer_s: float = 0.3) -> AsyncIterator[Database]:
    database = open_database(platform_settings(folder, database_url=url), "demo", answer_s=answer_s)
    try:
        yield database
    finally:
        await database.close()


async def test_a_stopped_server_hangs_nobody_and_is_told(server: Server, tmp_path: Path) -> None:
    url, processes = server
    async with opened(url, tmp_path) as database, asyncio.timeout(60):

        async def long_read() -> None:
            async with database.read() as session:
                await session.execute(text("SELECT pg_sleep(300)"))

        async def slow_write() -> None:
            async with database.write() as session:
                await session.execute(text("SELECT 1"))
                inside.set()
                await go_on.wait()
                await session.execute(text("SELECT 2"))

        inside, go_on = asyncio.Event(), asyncio.Event()
        await database.ping()
        under_way = [asyncio.create_task(one()) for one in (long_read, slow_write)]
        await inside.wait()
        began = time.monotonic()
        with stopped(processes()):
            go_on.set()
            assert await failing({"sql": database.ping}) == {"sql": "It does not answer within 2 s."}
            ended = await asyncio.gather(
                *under_way, database.ping(), database.rows(text("SELECT 1")), return_exceptions=True
            )
        assert [type(one) for one in ended] == [DependencyUnavailable] * 4, ended
        assert time.monotonic() - began < 25
        await database.ping()  # it is there again, and so are we
        assert await failing({"sql": database.ping}) == {}


async def test_the_admin_api_says_that_the_database_is_away(
    server: Server, flushed_valkey: str, tmp_path: Path
) -> None:
    url, processes = server
    mine = await asyncio.to_thread(fresh_database, url)
    platform = platform_settings(tmp_path, database_url=mine, redis_url=flushed_valkey)
    async with running_gateway(platform) as gateway:
        made = await gateway.client.post("/admin/keys", json={"name": "k", "tenant": "t"}, headers=admin_headers())
        key = {"authorization": f"Bearer {made.json()['key']}"}
        with stopped(processes()):
            began = time.monotonic()
            listed = gateway.client.get("/admin/keys", headers=admin_headers())
            own = gateway.client.get("/v1/files", headers=key)
            answers = [answer.status_code for answer in await asyncio.gather(listed, own)]
            assert answers == [503, 503]
            assert time.monotonic() - began < 25
        assert (await gateway.client.get("/admin/keys", headers=admin_headers())).status_code == 200


async def test_a_server_that_accepts_and_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the kernel accepts, and nobody reads
        url = f"postgresql://user:secret@127.0.0.1:{deaf.getsockname()[1]}/demo"
        async with opened(url, tmp_path) as database, asyncio.timeout(60):
            with pytest.raises(DependencyUnavailable, match="does not answer"):
                await database.ping()


async def test_a_statement_may_take_long_while_the_server_works_on_it(server: Server, tmp_path: Path) -> None:
    url, _ = server
    async with opened(url, tmp_path, answer_s=0.1) as database, asyncio.timeout(60):
        assert await database.rows(text("SELECT 7 FROM pg_sleep(2)")) == [(7,)]


async def test_an_answer_that_was_lost_with_its_link_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    url, _ = server
    async with link_to_postgres(url) as (link, through), opened(through, tmp_path) as database, asyncio.timeout(60):
        await database.ping()
        holder = await asyncpg.connect(url)
        await holder.execute("SELECT pg_advisory_lock(1)")
        reading = asyncio.create_task(database.rows(text("SELECT pg_advisory_lock(1)")))
        while not await holder.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            await asyncio.sleep(0.01)
        link.fall_silent()
        await holder.close()  # it gets its answer now, and nobody hears it
        with pytest.raises(DependencyUnavailable):
            await reading
        assert await database.rows(text("SELECT 8")) == [(8,)]
