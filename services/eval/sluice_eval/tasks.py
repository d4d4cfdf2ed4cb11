"""The worker process: runs from the queue, and its own health and metrics."""

from sluice.jobs import work_on
from sluice.queues import RUN_EVAL, RunEval
from sluice.settings import PlatformSettings
from sluice_eval.domain.runs import RunKey
from sluice_eval.settings import Settings
from sluice_eval.wiring import SERVICE, WorkerDeps, open_worker


def work(platform: PlatformSettings, settings: Settings) -> None:
    """Do runs until told to stop; a run that is cut off is taken up again by another worker, where it was."""
    work_on(SERVICE, platform, settings, open_worker(platform, settings), RUN_EVAL, _run)


async def _run(deps: WorkerDeps, payload: RunEval) -> None:
    await deps.runner.run(RunKey(payload.tenant, payload.run_id))
