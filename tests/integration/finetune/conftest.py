"""The finetune-worker on real databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.databases import set_up_schema

from sluice.db import Database, open_database
from sluice.settings import PlatformSettings
from sluice.testing import platform_settings

MIGRATIONS = Path(__file__).parents[3] / "services" / "finetune-worker" / "migrations"


@pytest.fixture
def sql_platform(database_url: str, tmp_path: Path) -> PlatformSettings:
    """Settings for one database of each kind, brought up to date."""
    platform = platform_settings(tmp_path, database_url=database_url)
    asyncio.run(set_up_schema(platform, "finetune", MIGRATIONS))
    return platform


@pytest.fixture
async def database(sql_platform: PlatformSettings) -> AsyncIterator[Database]:
    opened = open_database(sql_platform, "finetune")
    yield opened
    await opened.close()


@pytest.fixture
def migrated(tmp_path: Path, flushed_valkey: str) -> PlatformSettings:
    """Settings with a real Valkey and an up-to-date SQLite file."""
    platform = platform_settings(tmp_path, redis_url=flushed_valkey)
    asyncio.run(set_up_schema(platform, "finetune", MIGRATIONS))
    return platform
