"""One gateway process for a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.gateway.sdks.sdk_platform import Platform, running


@pytest.fixture
async def platform(tmp_path: Path, flushed_valkey: str) -> AsyncIterator[Platform]:
    async with running(tmp_path, flushed_valkey) as found:
        yield found
