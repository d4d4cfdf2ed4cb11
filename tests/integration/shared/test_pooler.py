"""A pooler before PostgreSQL that leaves out settings of a connection, as PgBouncer does with `ignore_startup_parameters`."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from tests.integration.databases import fresh_database

import sluice_feedback
from sluice.migrations import upgrade
from sluice.settings import ConfigError
from sluice.testing import platform_settings

pytestmark = pytest.mark.integration
MIGRATIONS = Path(sluice_feedback.__file__).parent.parent / "migrations"
_TLS = 8  # the size of a message that asks for TLS


def without(packet: bytes, name: bytes) -> bytes:
    """Return a start-up message (protocol 3.0: words that end with a zero, by twos) without one setting."""
    words = packet[4:].split(b"\0")
    pairs = [(words[at], words[at + 1]) for at in range(0, len(words) - 2, 2)]
    body = packet[:4] + b"".join(b"%b\0%b\0" % pair for pair in pairs if pair[0] != name) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


@asynccontextmanager
async def pooler(url: str) -> AsyncIterator[str]:
    """Yield the URL of a server that passes all on to this PostgreSQL but the setting `search_path`."""
    parts = urlsplit(url)
    place = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = struct.unpack("!I", await reader.readexactly(4))[0]
        packet = await reader.readexactly(size - 4)
        if size == _TLS:  # it asks for TLS, which there is none of
            writer.write(b"N")
            size = struct.unpack("!I", await reader.readexactly(4))[0]
            packet = await reader.readexactly(size - 4)
        up_reader, up_writer = await asyncio.open_unix_connection(place)
        up_writer.write(without(packet, b"search_path"))
        await asyncio.gather(carry(reader, up_writer), carry(up_reader, writer), return_exceptions=True)
        up_writer.close()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"postgresql://{parts.username}@127.0.0.1:{server.sockets[0].getsockname()[1]}{parts.path}"


async def test_tables_never_land_in_another_schema_than_the_services_own(tmp_path: Path, postgres: str) -> None:
    url = await asyncio.to_thread(fresh_database, postgres)
    async with pooler(url) as through:
        with pytest.raises(ConfigError, match=r"the schema `public`, not in `feedback`.*Nothing was written"):
            await upgrade(platform_settings(tmp_path, database_url=through), "feedback", MIGRATIONS)
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'feedback')")
    finally:
        await connection.close()
    assert found == 0
    await upgrade(platform_settings(tmp_path, database_url=url), "feedback", MIGRATIONS)
