"""The worker process: it writes usage to the database, deletes what is too old, and does batches from the queue."""

from sluice.jobs import work_on
from sluice.queues import RUN_BATCH, RunBatch
from sluice.settings import PlatformSettings
from sluice.standing_back import stand_back
from sluice_gateway.domain.batches import BatchKey
from sluice_gateway.settings import Settings
from sluice_gateway.worker_wiring import SERVICE, WorkerDeps, open_worker


def work(platform: PlatformSettings, settings: Settings) -> None:
    """Consume usage and do batches until told to stop; batches are given back then, and go on elsewhere where they were.

    Requests go first: it takes short slices of the processor, and less than others where it is short (`worker_niceness`).
    """
    stand_back(settings.worker_niceness)
    work_on(SERVICE, platform, settings, open_worker(platform, settings), RUN_BATCH, _run, stop=_stop)


async def _run(deps: WorkerDeps, payload: RunBatch) -> None:
    await deps.runner.run(BatchKey(payload.tenant, payload.batch_id))


def _stop(deps: WorkerDeps) -> None:
    deps.runner.stop()
