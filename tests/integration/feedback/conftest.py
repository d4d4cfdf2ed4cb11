"""What the feedback service's integration tests share: a real Valkey and both databases."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import redis

from sluice.settings import PlatformSettings
from sluice.testing import platform_settings, postgres_server, valkey_server


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    with valkey_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Empty for SQLite; a database of its own in the PostgreSQL server."""
    if request.param == "sqlite":
        return ""
    server: str = request.getfixturevalue("postgres")
    name = f"test_{uuid4().hex[:12]}"

    async def make() -> None:
        connection = await asyncpg.connect(server)
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()

    asyncio.run(make())
    return server.replace("/postgres?", f"/{name}?", 1)


@pytest.fixture
def flushed_valkey(valkey: str) -> str:
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
    return valkey


@pytest.fixture
def platform(tmp_path: Path, flushed_valkey: str, database_url: str) -> PlatformSettings:
    return platform_settings(tmp_path, redis_url=flushed_valkey, database_url=database_url)
