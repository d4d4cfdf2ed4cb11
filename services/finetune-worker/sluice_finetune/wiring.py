"""Which adapter stands behind which port, for the API process and for the worker."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from os import getpid
from typing import Annotated, Final

from fastapi import Depends

from sluice.auth import ServiceTokens
from sluice.clock import Clock, SystemClock
from sluice.db import open_database
from sluice.errors import DependencyUnavailable
from sluice.ids import new_id
from sluice.loops import Supervisor
from sluice.redis import REDIS_DOWN, open_redis
from sluice.service import Probe, deps_of
from sluice.settings import PlatformSettings
from sluice.tasks import TaskSender, make_celery
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_finetune.adapters.blobs import FolderBlobs
from sluice_finetune.adapters.queue import JobQueue
from sluice_finetune.adapters.training import NoTrainingBackend
from sluice_finetune.domain.runner import JobRunner
from sluice_finetune.metrics import ApiMetrics, WorkerMetrics
from sluice_finetune.settings import Settings
from sluice_finetune.store.files import Files
from sluice_finetune.store.jobs import Jobs

SERVICE: Final = "finetune"
WORKER: Final = "finetune-worker"
_UNFINISHED_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Deps:
    """What the API process has open."""

    platform: PlatformSettings
    settings: Settings
    registry: MetricRegistry
    metrics: ApiMetrics
    tokens: ServiceTokens
    tracing: Tracing
    clock: Clock
    files: Files
    jobs: Jobs
    blobs: FolderBlobs
    queue: JobQueue
    probes: Mapping[str, Probe]


DepsDep = Annotated[Deps, Depends(deps_of)]


@asynccontextmanager
async def open_deps(platform: PlatformSettings, settings: Settings) -> AsyncIterator[Deps]:
    """Open what the API process needs, and keep waiting jobs in the queue."""
    registry = MetricRegistry(process=True)
    metrics = ApiMetrics(registry)
    tracing = Tracing(SERVICE, platform)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.callback(tracing.close)
        database = open_database(platform, SERVICE)
        stack.push_async_callback(database.close)
        redis = open_redis(platform)
        stack.push_async_callback(redis.aclose)
        blobs = open_blobs(platform, settings)
        await asyncio.to_thread(blobs.remove_unfinished, clock.now() - _UNFINISHED_AFTER_S)
        jobs = Jobs(database)
        queue = JobQueue(TaskSender(make_celery(SERVICE, platform)))

        async def redis_answers() -> None:
            try:
                await redis.ping()
            except REDIS_DOWN as exc:
                raise DependencyUnavailable("Redis does not answer; new jobs wait until it does.") from exc

        async def sweep() -> None:
            while True:
                for waiting in await jobs.take_waiting(clock.now(), settings.resend_s):
                    if await queue.send(waiting.tenant, waiting.job_id):
                        metrics.sent.inc()
                metrics.waiting.set(await jobs.count_open())
                await asyncio.sleep(settings.sweep_s)

        supervisor = Supervisor(registry)
        stack.push_async_callback(supervisor.close)
        supervisor.start("job-sweep", sweep)
        yield Deps(
            platform=platform,
            settings=settings,
            registry=registry,
            metrics=metrics,
            tokens=ServiceTokens(platform.service_secret.get_secret_value(), SERVICE),
            tracing=tracing,
            clock=clock,
            files=Files(database),
            jobs=jobs,
            blobs=blobs,
            queue=queue,
            probes={"sql": database.ping, "redis": redis_answers},
        )


@dataclass(frozen=True, slots=True)
class WorkerDeps:
    """What the worker process has open."""

    runner: JobRunner
    registry: MetricRegistry
    metrics: WorkerMetrics
    clock: Clock
    probes: Mapping[str, Probe]


@asynccontextmanager
async def open_worker(platform: PlatformSettings, settings: Settings) -> AsyncIterator[WorkerDeps]:
    """Open what the worker needs; its lease name is new at each start, so that a restart never takes itself for alive."""
    registry = MetricRegistry(process=True)
    clock = SystemClock()
    database = open_database(platform, SERVICE)
    try:
        yield WorkerDeps(
            runner=JobRunner(
                record=Jobs(database),
                files=Files(database),
                blobs=open_blobs(platform, settings),
                backend=NoTrainingBackend(),
                clock=clock,
                owner=f"{socket.gethostname()[:60]}-{getpid()}-{new_id('w')}",
                lease_s=settings.lease_s,
                max_attempts=settings.max_attempts,
            ),
            registry=registry,
            metrics=WorkerMetrics(registry),
            clock=clock,
            probes={"sql": database.ping},
        )
    finally:
        await database.close()


def open_blobs(platform: PlatformSettings, settings: Settings) -> FolderBlobs:
    """Return the store of files' content."""
    return FolderBlobs(platform.data_dir.absolute() / "finetune" / "files", settings.max_line_bytes)
