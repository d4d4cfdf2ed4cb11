"""The worker: `python -m sluice_gateway worker` writes usage to the database and deletes what is too old."""

import asyncio
import signal
import socket
from collections.abc import Sequence

from sluice.clock import SystemClock
from sluice.contracts.usage import UsageRecorded
from sluice.loops import Supervisor
from sluice.queues import USAGE, StreamConsumer
from sluice.settings import PlatformSettings
from sluice.workers import WorkerStatusServer
from sluice_gateway.retention import Keep, Retention
from sluice_gateway.settings import Settings
from sluice_gateway.usage.consumer import UsageWriter
from sluice_gateway.usage.metrics import ConsumerMetrics
from sluice_gateway.wiring import WorkerDeps, open_worker_deps

GROUP = "gateway-usage"
_LOOP = "usage-consumer"
_DEAD_LETTERS_KEPT = 100_000


def work(platform: PlatformSettings, settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    asyncio.run(_work(platform, settings))


async def _work(platform: PlatformSettings, settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_worker_deps(platform) as deps:
        loops = Supervisor(deps.registry)
        consumer = usage_consumer(deps, settings)
        loops.start(_LOOP, consumer.run)
        loops.start("retention", retention(deps, settings).run)

        def ready() -> dict[str, str]:
            return {} if loops.is_running(_LOOP) else {_LOOP: "The usage consumer has ended; see the log."}

        status = WorkerStatusServer("gateway-worker", platform.host, settings.worker_port, deps.registry, ready)
        status.start()
        try:
            await stop.wait()
        finally:
            await loops.close()
            await asyncio.to_thread(status.close)


def retention(deps: WorkerDeps, settings: Settings) -> Retention:
    """Return what deletes records that are older than they are kept."""
    keep = Keep(settings.usage_retention_days, settings.audit_retention_days)
    return Retention(deps.old_rows, keep, SystemClock(), deps.registry, every_s=settings.retention_every_s)


def usage_consumer(deps: WorkerDeps, settings: Settings) -> StreamConsumer[UsageRecorded]:
    """Return the consumer of the usage stream; its name must be the same after a restart, see `StreamConsumer`."""
    metrics = ConsumerMetrics(deps.registry)

    async def bury(events: Sequence[UsageRecorded]) -> None:
        async with deps.redis.pipeline(transaction=True) as pipe:
            for event in events:
                pipe.xadd(
                    USAGE.dead_letters, {b"d": event.model_dump_json()}, maxlen=_DEAD_LETTERS_KEPT, approximate=True
                )
            await pipe.execute()

    return StreamConsumer(
        redis=deps.redis,
        stream=USAGE,
        group=GROUP,
        consumer=settings.consumer_name or socket.gethostname(),
        handle=UsageWriter(deps.usage, metrics, bury).handle,
        batch=settings.usage_batch,
        on_dead_letter=metrics.dead.inc,
    )
