"""One loaded model for the tests that need the real one."""

from collections.abc import AsyncIterator

import pytest

from sluice.minilm.files import find_model_files
from sluice.telemetry.metrics import MetricRegistry
from sluice_retrieval.adapters.minilm import MiniLmEmbedder
from sluice_retrieval.metrics import Metrics


@pytest.fixture
async def embedder() -> AsyncIterator[MiniLmEmbedder]:
    made = MiniLmEmbedder(find_model_files(), Metrics(MetricRegistry()))
    yield made
    await made.close()
