"""The real application in process: SQLite, Qdrant Edge and the real model; the queue is away, so documents wait."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from tests.contract.retrieval.vector_homes import vectors  # noqa: F401 - a fixture

from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import asgi_client, free_port, platform_settings
from sluice_retrieval.__main__ import MIGRATIONS
from sluice_retrieval.app import create_app
from sluice_retrieval.settings import RetrievalSettings
from sluice_retrieval.wiring import open_deps


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> PlatformSettings:
    return platform_settings(tmp_path_factory.mktemp("retrieval"), redis_url=f"redis://127.0.0.1:{free_port()}/0")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def app(platform: PlatformSettings) -> FastAPI:
    await upgrade(platform, "retrieval", MIGRATIONS)
    settings = RetrievalSettings(
        _env_file=None, max_document_bytes=2000, embed_max_tokens=3000, embed_max_inputs=50, huge_pages=False
    )
    return create_app(lambda: open_deps(platform, settings))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with asgi_client(app) as client:
        yield client
