"""The queue in which jobs wait for a worker."""

import logging

from sluice.errors import DependencyUnavailable
from sluice.queues import RUN_FINETUNE_JOB, RunFinetuneJob
from sluice.tasks import TaskSender

_log = logging.getLogger(__name__)


class JobQueue:
    """Sends jobs to the workers.

    Degraded mode: while Redis is away the job stays in the database, and the sweep sends it when Redis is back.
    """

    def __init__(self, sender: TaskSender) -> None:
        self._sender = sender

    async def send(self, tenant: str, job_id: str) -> bool:
        """Put a job into the queue; False if the queue cannot be reached now."""
        try:
            await self._sender.send(RUN_FINETUNE_JOB, RunFinetuneJob(tenant=tenant, job_id=job_id))
        except DependencyUnavailable as exc:
            _log.warning("job %s waits: %s", job_id, exc.detail)
            return False
        return True
