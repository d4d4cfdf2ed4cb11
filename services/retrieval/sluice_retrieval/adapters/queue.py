"""The queue of ingest jobs: Celery on the platform's Redis."""

from sluice.queues import INGEST_DOCUMENT, IngestDocument
from sluice.tasks import TaskSender
from sluice_retrieval.domain.library import Waiting


class CeleryIngestQueue:
    """The `IngestQueue` port on Celery."""

    def __init__(self, sender: TaskSender) -> None:
        self._sender = sender

    async def send(self, waiting: Waiting) -> None:
        """Put a document's job into the queue."""
        payload = IngestDocument(
            tenant=waiting.tenant, vector_store_id=waiting.store_id, document_id=waiting.document_id
        )
        await self._sender.send(INGEST_DOCUMENT, payload)
