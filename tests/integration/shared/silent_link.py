"""A link to a server that falls silent when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Link:
    """Carries bytes to a server until it falls silent: then connections stay open, and nothing comes through any more."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._tasks: set[asyncio.Task[None]] = set()
        self._alive = asyncio.Event()
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await self._connect()
        alive = self._alive  # of this connection: one that fell silent stays so
        alive.set()
        for source, sink in ((reader, up_writer), (up_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink, alive))
            self._tasks.add(task)

    def fall_silent(self) -> None:
        """Carry nothing more on the connections that there are; new ones work."""
        self._alive.clear()
        self._alive = asyncio.Event()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, alive: asyncio.Event) -> None:
        try:
            while data := await source.read(65536):
                await alive.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def link_to(url: str) -> AsyncIterator[Link]:
    """Yield a link to the server at this URL on the loopback address."""
    port = urlsplit(url).port or 0
    async with _link(lambda: asyncio.open_connection("127.0.0.1", port)) as link:
        yield link


@asynccontextmanager
async def link_to_postgres(url: str) -> AsyncIterator[tuple[Link, str]]:
    """Yield a link to a PostgreSQL that listens on a Unix socket, and the URL that goes through it."""
    parts = urlsplit(url)
    place = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
    async with _link(lambda: asyncio.open_unix_connection(place)) as link:
        yield link, f"postgresql://{parts.username}@127.0.0.1:{link.port}{parts.path}"


@asynccontextmanager
async def _link(connect: Connect) -> AsyncIterator[Link]:
    link = Link(connect)
    server = await asyncio.start_server(link.accept, "127.0.0.1", 0)
    link.port = server.sockets[0].getsockname()[1]
    try:
        yield link
    finally:
        server.close()
        await link.close()
