"""Waiting for batches without blocking the provider that runs in the test's own loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import openai
import pytest
from openai.types import Batch
from tests.integration.gateway.batches.batch_platform import ENDED

Wait = Callable[..., Awaitable[Batch]]


@pytest.fixture
def wait_for() -> Wait:
    """Ask for a batch until it is as wanted (ended, unless said otherwise)."""

    async def wait(
        client: openai.AsyncOpenAI,
        batch: Batch,
        wanted: Callable[[Batch], bool] = lambda found: found.status in ENDED,
        seconds: float = 60,
    ) -> Batch:
        until = time.monotonic() + seconds
        while True:
            found = await client.batches.retrieve(batch.id)
            if wanted(found):
                return found
            assert time.monotonic() < until, found
            await asyncio.sleep(0.05)

    return wait
