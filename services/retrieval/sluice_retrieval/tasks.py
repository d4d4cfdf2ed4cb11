"""The worker process: ingest jobs from the queue, and its own health and metrics."""

from sluice.jobs import work_on
from sluice.queues import INGEST_DOCUMENT, IngestDocument
from sluice.settings import PlatformSettings
from sluice.standing_back import stand_back
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.settings import RetrievalSettings
from sluice_retrieval.wiring import SERVICE, WorkerDeps, open_worker


def work(platform: PlatformSettings, settings: RetrievalSettings) -> None:
    """Ingest documents until told to stop; documents in work are finished first.

    Searches go first: while processors are short the worker gets less of them than the API process (`worker_niceness`).
    """
    stand_back(settings.worker_niceness)
    work_on(SERVICE, platform, settings, open_worker(platform, settings), INGEST_DOCUMENT, _ingest, stop=_leave)


async def _ingest(deps: WorkerDeps, payload: IngestDocument) -> None:
    await deps.ingestor.work(Selector(payload.tenant, payload.vector_store_id, payload.document_id))


def _leave(deps: WorkerDeps) -> None:
    deps.ingestor.leave()
