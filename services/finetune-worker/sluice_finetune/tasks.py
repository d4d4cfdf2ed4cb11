"""The worker process: fine-tuning jobs from the queue, and its own health and metrics."""

from sluice.jobs import work_on
from sluice.queues import RUN_FINETUNE_JOB, RunFinetuneJob
from sluice.settings import PlatformSettings
from sluice_finetune.settings import Settings
from sluice_finetune.wiring import SERVICE, WorkerDeps, open_worker


def work(platform: PlatformSettings, settings: Settings) -> None:
    """Run jobs until told to stop; jobs in work are finished first."""
    work_on(SERVICE, platform, settings, open_worker(platform, settings), RUN_FINETUNE_JOB, _run)


async def _run(deps: WorkerDeps, payload: RunFinetuneJob) -> None:
    started = deps.clock.monotonic()
    outcome = await deps.runner.run(payload.tenant, payload.job_id)
    deps.metrics.ran(outcome, deps.clock.monotonic() - started)
