"""What the gateway's integration tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.gateway.control_plane import Gateway, running_gateway

from sluice.settings import PlatformSettings
from sluice.testing import platform_settings


@pytest.fixture
def platform(tmp_path: Path, flushed_valkey: str, database_url: str) -> PlatformSettings:
    return platform_settings(
        tmp_path, redis_url=flushed_valkey, database_url=database_url, router_url="http://127.0.0.1:9"
    )


@pytest.fixture
async def gateway(platform: PlatformSettings) -> AsyncIterator[Gateway]:
    async with running_gateway(platform) as started:
        yield started
