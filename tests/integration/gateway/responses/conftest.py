"""Two gateway processes for a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.gateway.responses.pair import Pair, running


@pytest.fixture
async def pair(tmp_path: Path, flushed_valkey: str) -> AsyncIterator[Pair]:
    """Both on one SQLite file."""
    async with running(tmp_path, flushed_valkey, "") as found:
        yield found


@pytest.fixture
async def each_pair(tmp_path: Path, flushed_valkey: str, database_url: str) -> AsyncIterator[Pair]:
    """Both on one SQLite file, then both on one PostgreSQL."""
    async with running(tmp_path, flushed_valkey, database_url) as found:
        yield found
