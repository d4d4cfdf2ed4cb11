"""The queue in which batches wait for a worker: Celery."""

import logging

from sluice.errors import DependencyUnavailable
from sluice.queues import RUN_BATCH, RunBatch
from sluice.tasks import TaskSender
from sluice_gateway.domain.batches import BatchKey

_log = logging.getLogger(__name__)


class CeleryBatchQueue:
    """Sends batches as Celery tasks that carry ids only."""

    def __init__(self, sender: TaskSender) -> None:
        self._sender = sender

    async def send(self, key: BatchKey) -> bool:
        """Send a batch to the workers; False if the queue cannot be reached now."""
        try:
            await self._sender.send(RUN_BATCH, RunBatch(tenant=key.tenant, batch_id=key.batch_id))
        except DependencyUnavailable as exc:
            _log.warning("batch %s waits: %s", key.batch_id, exc.detail)
            return False
        return True
