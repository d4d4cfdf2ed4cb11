"""Two gateway processes for a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.gateway.responses.pair import Pair, running


@pytest.fixture
async def pair(tmp_path: Path, flushed_valkey: str, database_url: str) -> AsyncIterator[Pair]:
    async with running(tmp_path, flushed_valkey, database_url) as found:
        yield found
