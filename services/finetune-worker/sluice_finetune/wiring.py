"""Which adapter stands behind which port, for the API process and for the worker."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from os import getpid
from typing import Annotated, Final

import aiohttp
from fastapi import Depends

from sluice.auth import ServiceTokens
from sluice.clients.guardrail import GuardrailClient
from sluice.clients.http import AiohttpTransport, ServiceClient
from sluice.clock import Clock, SystemClock
from sluice.db import open_database
from sluice.health import Probe
from sluice.ids import new_id
from sluice.jobs import open_job_service
from sluice.loops import Rounds
from sluice.service import deps_of
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_finetune.adapters.blobs import Copies
from sluice_finetune.adapters.files import GatewayFiles
from sluice_finetune.adapters.queue import JobQueue
from sluice_finetune.adapters.training import NoTrainingBackend
from sluice_finetune.domain.runner import JobRunner
from sluice_finetune.metrics import ApiMetrics, WorkerMetrics
from sluice_finetune.settings import Settings
from sluice_finetune.store.jobs import Jobs

SERVICE: Final = "finetune"
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
    files: GatewayFiles
    guardrail: GuardrailClient
    jobs: Jobs
    copies: Copies
    queue: JobQueue
    sweep: Rounds
    probes: Mapping[str, Probe]


DepsDep = Annotated[Deps, Depends(deps_of)]


@asynccontextmanager
async def open_deps(platform: PlatformSettings, settings: Settings) -> AsyncIterator[Deps]:
    """Open what the API process needs, and keep waiting jobs in the queue."""
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(open_job_service(SERVICE, platform, waits="new jobs"))
        metrics = ApiMetrics(service.registry)
        clock = service.clock
        jobs = Jobs(service.database)
        copies = open_copies(platform, settings)
        await asyncio.to_thread(copies.keep_only, await jobs.open_ids(), clock.now() - _UNFINISHED_AFTER_S)
        session = aiohttp.ClientSession()
        stack.push_async_callback(session.close)
        files = GatewayFiles(
            session,
            platform.service_url("gateway"),
            service.tokens,
            copies,
            settings.max_file_bytes,
            settings.copy_timeout_s,
        )
        transport = AiohttpTransport()
        stack.push_async_callback(transport.close)
        url, check = platform.service_url("guardrail"), partial(platform.require, "guardrail")
        guardrail = GuardrailClient(
            ServiceClient("guardrail", url, service.tokens, transport, service.tracing, subject=SERVICE, check=check)
        )
        queue = JobQueue(service.sender)

        async def sweep() -> bool:
            waiting = await jobs.count_open()
            metrics.waiting.set(waiting)
            if waiting:
                for job in await jobs.take_waiting(clock.now(), settings.resend_s):
                    if await queue.send(job.tenant, job.job_id):
                        metrics.sent.inc()
            return waiting > 0

        rounds = Rounds(sweep, settings.sweep_s)
        service.loops.start("job-sweep", rounds.run)
        yield Deps(
            platform=platform,
            settings=settings,
            registry=service.registry,
            metrics=metrics,
            tokens=service.tokens,
            tracing=service.tracing,
            clock=clock,
            files=files,
            guardrail=guardrail,
            jobs=jobs,
            copies=copies,
            queue=queue,
            sweep=rounds,
            probes=service.probes,
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
                copies=open_copies(platform, settings),
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


def open_copies(platform: PlatformSettings, settings: Settings) -> Copies:
    """Return the folder of jobs' own copies of their files."""
    return Copies(platform.data_dir.absolute() / "finetune" / "files", settings.max_line_bytes)
