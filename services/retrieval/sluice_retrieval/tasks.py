"""The worker process: ingest jobs from the queue, and its own health and metrics."""

import asyncio
from contextlib import AsyncExitStack

from sluice.errors import SluiceError
from sluice.queues import INGEST_DOCUMENT, IngestDocument
from sluice.service import Probe
from sluice.settings import PlatformSettings
from sluice.tasks import LoopThread, make_celery, register, run_worker
from sluice.workers import WorkerStatusServer
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.settings import RetrievalSettings
from sluice_retrieval.wiring import SERVICE, WORKER_SUBJECT, WorkerDeps, open_worker


def work(platform: PlatformSettings, settings: RetrievalSettings) -> None:
    """Ingest documents until told to stop; documents in work are finished first."""
    loop = LoopThread()
    stack = AsyncExitStack()
    deps: WorkerDeps = loop.run(stack.enter_async_context(open_worker(platform, settings)))

    def ingest(payload: IngestDocument) -> None:
        selector = Selector(payload.tenant, payload.vector_store_id, payload.document_id)
        loop.run(deps.ingestor.ingest(selector))

    def wrong() -> dict[str, str]:
        found: dict[str, str] = loop.run(_wrong(deps))
        return found

    celery = make_celery(SERVICE, platform)
    register(celery, INGEST_DOCUMENT, ingest)
    status = WorkerStatusServer(WORKER_SUBJECT, platform.host, settings.worker_port, deps.registry, wrong)
    status.start()
    try:
        run_worker(SERVICE, celery, concurrency=settings.worker_concurrency)
    finally:
        status.close()
        loop.run(stack.aclose())
        loop.close()


async def _wrong(deps: WorkerDeps) -> dict[str, str]:
    results = await asyncio.gather(*(_ask(probe) for probe in deps.probes.values()))
    return {name: result for name, result in zip(deps.probes, results, strict=True) if result}


async def _ask(probe: Probe) -> str:
    try:
        await probe()
    except SluiceError as exc:
        return exc.detail
    return ""
