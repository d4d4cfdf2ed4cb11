"""The worker process: fine-tuning jobs from the queue, and its own health and metrics."""

import asyncio
from contextlib import AsyncExitStack

from sluice.errors import SluiceError
from sluice.queues import RUN_FINETUNE_JOB, RunFinetuneJob
from sluice.settings import PlatformSettings
from sluice.tasks import LoopThread, make_celery, register, run_worker
from sluice.workers import WorkerStatusServer
from sluice_finetune.settings import Settings
from sluice_finetune.wiring import SERVICE, WORKER, WorkerDeps, open_worker


def work(platform: PlatformSettings, settings: Settings) -> None:
    """Run jobs until told to stop; jobs in work are finished first."""
    loop = LoopThread()
    stack = AsyncExitStack()
    deps: WorkerDeps = loop.run(stack.enter_async_context(open_worker(platform, settings)))

    def run_job(payload: RunFinetuneJob) -> None:
        started = deps.clock.monotonic()
        outcome = loop.run(deps.runner.run(payload.tenant, payload.job_id))
        deps.metrics.ran(outcome, deps.clock.monotonic() - started)

    def wrong() -> dict[str, str]:
        found: dict[str, str] = loop.run(_wrong(deps))
        return found

    celery = make_celery(SERVICE, platform)
    register(celery, RUN_FINETUNE_JOB, run_job)
    status = WorkerStatusServer(WORKER, platform.host, settings.worker_port, deps.registry, wrong)
    status.start()
    try:
        run_worker(SERVICE, celery, concurrency=settings.worker_concurrency)
    finally:
        status.close()
        loop.run(stack.aclose())
        loop.close()


async def _wrong(deps: WorkerDeps) -> dict[str, str]:
    async def ask(name: str) -> str:
        try:
            await deps.probes[name]()
        except SluiceError as exc:
            return exc.detail
        return ""

    results = await asyncio.gather(*(ask(name) for name in deps.probes))
    return {name: result for name, result in zip(deps.probes, results, strict=True) if result}
