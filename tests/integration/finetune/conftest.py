"""The finetune-worker on real databases."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sluice.db import Database, open_database
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import platform_settings, postgres_server, valkey_server

MIGRATIONS = Path(__file__).parents[3] / "services" / "finetune-worker" / "migrations"


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with valkey_server() as url:
        yield url


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def sql_platform(request: pytest.FixtureRequest, tmp_path: Path) -> PlatformSettings:
    """Settings for one database of each kind, brought up to date."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    platform = platform_settings(tmp_path, database_url=url)
    asyncio.run(upgrade(platform, "finetune", MIGRATIONS))
    return platform


@pytest.fixture
async def database(sql_platform: PlatformSettings) -> AsyncIterator[Database]:
    opened = open_database(sql_platform, "finetune")
    yield opened
    await opened.close()


@pytest.fixture
def migrated(tmp_path: Path, redis_url: str) -> PlatformSettings:
    """Settings with a real Valkey and an up-to-date SQLite file."""
    platform = platform_settings(tmp_path, redis_url=redis_url)
    asyncio.run(upgrade(platform, "finetune", MIGRATIONS))
    return platform
