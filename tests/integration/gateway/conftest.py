"""What the gateway's integration tests share: a real Valkey and both databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from tests.integration.gateway.control_plane import Gateway, fresh_database, running_gateway

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
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Empty for SQLite; a database of its own in the PostgreSQL server."""
    if request.param == "sqlite":
        yield ""
        return
    yield fresh_database(request.getfixturevalue("postgres"))


@pytest.fixture
def flushed_valkey(valkey: str) -> str:
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
    return valkey


@pytest.fixture
def platform(tmp_path: Path, flushed_valkey: str, database_url: str) -> PlatformSettings:
    return platform_settings(
        tmp_path, redis_url=flushed_valkey, database_url=database_url, router_url="http://127.0.0.1:9"
    )


@pytest.fixture
async def gateway(platform: PlatformSettings) -> AsyncIterator[Gateway]:
    async with running_gateway(platform) as started:
        yield started
