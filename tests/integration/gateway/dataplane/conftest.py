"""A provider and a request path over real sockets."""

from collections.abc import AsyncIterator

import httpx
import pytest
from openai_provider import Provider


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-test"}, timeout=60) as http:
        yield http
