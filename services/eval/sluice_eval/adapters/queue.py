"""The job queue of runs: Celery."""

from sluice.errors import DependencyUnavailable
from sluice.queues import RUN_EVAL, RunEval
from sluice.tasks import TaskSender
from sluice_eval.domain.errors import QueueAway
from sluice_eval.domain.runs import RunKey


class CeleryRunQueue:
    """Sends runs as Celery tasks that carry ids only."""

    def __init__(self, sender: TaskSender) -> None:
        self._sender = sender

    async def send(self, key: RunKey) -> None:
        """Send a run to the workers."""
        try:
            await self._sender.send(RUN_EVAL, RunEval(tenant=key.tenant, run_id=key.run_id))
        except DependencyUnavailable as exc:
            raise QueueAway(exc.detail) from exc
