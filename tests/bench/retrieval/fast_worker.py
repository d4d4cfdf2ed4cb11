"""A worker whose embedder costs nothing, so that what is left is the pipeline: python -m tests.bench.retrieval.fast_worker

Its vectors are drawn by chance from each text's hash: they mean nothing, and are as long as real ones. All else is the
product's own worker: queue, leases, chunking with the real tokenizer, BM25, and the way to the index.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from sluice.jobs import work_on
from sluice.minilm.files import find_model_files
from sluice.queues import INGEST_DOCUMENT, IngestDocument
from sluice.settings import PlatformSettings
from sluice_retrieval.adapters.minilm import DIMENSIONS, MiniLmCounter, open_tokenizer
from sluice_retrieval.domain.embedding import Embedded, Lane
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.settings import RetrievalSettings
from sluice_retrieval.wiring import SERVICE, WorkerDeps, open_worker

_VECTORS = 4096


class FreeEmbedder:
    """Gives each text one of some thousand unit vectors."""

    name, dimensions = "by-chance", DIMENSIONS

    def __init__(self) -> None:
        self.counter = MiniLmCounter(open_tokenizer(find_model_files()))
        drawn = np.random.default_rng(0).normal(size=(_VECTORS, DIMENSIONS))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        self._vectors = [tuple(row) for row in drawn.astype(np.float32).tolist()]

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        return Embedded(tuple(self._vectors[zlib.crc32(text.encode()) % _VECTORS] for text in texts), 0)

    async def load(self) -> None:
        """It is there."""

    def loaded(self) -> bool:
        return True

    async def close(self) -> None:
        """Nothing is held."""


async def _ingest(deps: WorkerDeps, payload: IngestDocument) -> None:
    await deps.ingestor.work(Selector(payload.tenant, payload.vector_store_id, payload.document_id))


def main() -> None:
    platform, settings = PlatformSettings(), RetrievalSettings()
    work_on(SERVICE, platform, settings, open_worker(platform, settings, FreeEmbedder()), INGEST_DOCUMENT, _ingest)


if __name__ == "__main__":
    main()
