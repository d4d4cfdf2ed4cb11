"""The worker process: runs from the queue, and its own health and metrics."""

from contextlib import AsyncExitStack

from sluice.errors import SluiceError
from sluice.queues import RUN_EVAL, RunEval
from sluice.settings import PlatformSettings
from sluice.tasks import LoopThread, make_celery, register, run_worker
from sluice.workers import WorkerStatusServer
from sluice_eval.domain.runs import RunKey
from sluice_eval.settings import Settings
from sluice_eval.wiring import SERVICE, WORKER_SUBJECT, WorkerDeps, open_worker


def work(platform: PlatformSettings, settings: Settings) -> None:
    """Do runs until told to stop; a run that is cut off is taken up again by another worker, where it was."""
    loop = LoopThread()
    stack = AsyncExitStack()
    deps: WorkerDeps = loop.run(stack.enter_async_context(open_worker(platform, settings)))

    def run(payload: RunEval) -> None:
        loop.run(deps.runner.run(RunKey(payload.tenant, payload.run_id)))

    def wrong() -> dict[str, str]:
        found: dict[str, str] = loop.run(_wrong(deps))
        return found

    celery = make_celery(SERVICE, platform)
    register(celery, RUN_EVAL, run)
    status = WorkerStatusServer(WORKER_SUBJECT, platform.host, settings.worker_port, deps.registry, wrong)
    status.start()
    try:
        run_worker(SERVICE, celery, concurrency=settings.worker_concurrency)
    finally:
        status.close()
        loop.run(stack.aclose())
        loop.close()


async def _wrong(deps: WorkerDeps) -> dict[str, str]:
    found = {}
    for name, probe in deps.probes.items():
        try:
            await probe()
        except SluiceError as exc:
            found[name] = exc.detail
    return found
