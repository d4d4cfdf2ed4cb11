"""Databases of a test's own in a server that many tests share."""

import asyncio
from uuid import uuid4

import asyncpg


def fresh_database(server: str) -> str:
    """Make an empty database in the PostgreSQL server and return its URL."""
    name = f"test_{uuid4().hex[:12]}"

    async def make() -> None:
        connection = await asyncpg.connect(server)
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()

    asyncio.run(make())
    base, _, query = server.partition("?")
    url = f"{base.rsplit('/', 1)[0]}/{name}"
    return f"{url}?{query}" if query else url
