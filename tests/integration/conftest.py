"""What integration tests of all services share: one real Valkey and one real PostgreSQL, and data of a test's own in them."""

from collections.abc import Iterator

import pytest
import redis
from tests.integration.databases import fresh_database

from sluice.testing import postgres_server, valkey_server


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a Valkey that no test kills."""
    with valkey_server() as url:
        yield url


@pytest.fixture
def flushed_valkey(valkey: str) -> str:
    """The same, emptied before the test."""
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
    return valkey


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that no test kills."""
    with postgres_server(durable=False) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of each kind: empty for SQLite, else an empty database of its own in the PostgreSQL server, which may be slow to take connections."""
    if request.param == "sqlite":
        return ""
    monkeypatch.setenv("SLUICE_DATABASE_CONNECT_S", "60")
    return fresh_database(request.getfixturevalue("postgres"))
