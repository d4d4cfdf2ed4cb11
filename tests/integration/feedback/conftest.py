"""What the feedback service's integration tests share."""

from pathlib import Path

import pytest

from sluice.settings import PlatformSettings
from sluice.testing import platform_settings


@pytest.fixture
def platform(tmp_path: Path, flushed_valkey: str, database_url: str) -> PlatformSettings:
    return platform_settings(tmp_path, redis_url=flushed_valkey, database_url=database_url)
