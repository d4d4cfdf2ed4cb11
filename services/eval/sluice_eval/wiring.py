"""Which adapter stands behind which port, for the API process and for the worker."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import aiohttp
from fastapi import Depends

from sluice.auth import ServiceTokens
from sluice.clients.http import AiohttpTransport, ServiceClient
from sluice.clients.retrieval import RetrievalClient
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
from sluice_eval.adapters.gateway import GatewayTarget
from sluice_eval.adapters.meaning import RetrievalMeaning
from sluice_eval.adapters.queue import CeleryRunQueue
from sluice_eval.domain.errors import QueueAway
from sluice_eval.domain.runs import RunQueue
from sluice_eval.metrics import EvalMetrics
from sluice_eval.runner import EvalRunner, Limits
from sluice_eval.settings import Settings
from sluice_eval.store.book import SqlRunBook
from sluice_eval.store.library import Library
from sluice_eval.store.schedules import Schedules

_log = logging.getLogger(__name__)
SERVICE: Final = "eval"
WORKER_SUBJECT = "eval-worker"


@dataclass(frozen=True, slots=True)
class Deps:
    """What the API process has open."""

    platform: PlatformSettings
    settings: Settings
    registry: MetricRegistry
    metrics: EvalMetrics
    tokens: ServiceTokens
    tracing: Tracing
    clock: Clock
    library: Library
    schedules: Schedules
    queue: RunQueue
    sweep: Rounds
    probes: Mapping[str, Probe]


DepsDep = Annotated[Deps, Depends(deps_of)]


@asynccontextmanager
async def open_deps(platform: PlatformSettings, settings: Settings) -> AsyncIterator[Deps]:
    """Open what the API process needs, and sweep for runs that wait."""
    async with open_job_service(SERVICE, platform, waits="new runs") as service:
        metrics = EvalMetrics(service.registry)
        library = Library(service.database)
        queue = CeleryRunQueue(service.sender)

        schedules = Schedules(service.database)

        async def sweep() -> bool:
            await send_scheduled(schedules, queue, service.clock.now(), settings.resend_s)
            waiting = await library.unfinished()
            if waiting:
                await send_due(library, queue, metrics, service.clock.now(), settings.resend_s)
            return waiting > 0

        rounds = Rounds(sweep, settings.sweep_s)
        service.loops.start("run-sweep", rounds.run)
        yield Deps(
            platform=platform,
            settings=settings,
            registry=service.registry,
            metrics=metrics,
            tokens=service.tokens,
            tracing=service.tracing,
            clock=service.clock,
            library=library,
            schedules=schedules,
            queue=queue,
            sweep=rounds,
            probes=service.probes,
        )


async def send_scheduled(schedules: Schedules, queue: RunQueue, now: float, resend_s: float) -> None:
    """Start the runs whose time has come; what cannot be sent now is sent by a later sweep."""
    for key in await schedules.start_due(now, now + resend_s):
        try:
            await queue.send(key)
        except QueueAway as exc:
            _log.warning("run %s: %s", key.run_id, exc.detail)


async def send_due(library: Library, queue: RunQueue, metrics: EvalMetrics, now: float, resend_s: float) -> None:
    """Send runs to the workers that wait too long, or whose worker was lost."""
    for key in await library.due(now, now + resend_s):
        try:
            await queue.send(key)
            metrics.resent.inc()
        except QueueAway as exc:
            _log.warning("run %s: %s", key.run_id, exc.detail)
            return


@dataclass(frozen=True, slots=True)
class WorkerDeps:
    """What the worker process has open."""

    runner: EvalRunner
    registry: MetricRegistry
    probes: Mapping[str, Probe]


@asynccontextmanager
async def open_worker(platform: PlatformSettings, settings: Settings) -> AsyncIterator[WorkerDeps]:
    """Open what the worker needs."""
    registry = MetricRegistry(process=True)
    tracing = Tracing(WORKER_SUBJECT, platform)
    async with AsyncExitStack() as stack:
        stack.callback(tracing.close)
        database = open_database(platform, SERVICE)
        stack.push_async_callback(database.close)
        connector = aiohttp.TCPConnector(limit=settings.worker_concurrency * 64)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        tokens = ServiceTokens(platform.service_secret.get_secret_value(), SERVICE)
        transport = AiohttpTransport()
        stack.push_async_callback(transport.close)
        url = platform.service_url("retrieval")
        retrieval = ServiceClient("retrieval", url, tokens, transport, tracing, subject=WORKER_SUBJECT)
        target = GatewayTarget(session, platform.service_url("gateway"), tokens, WORKER_SUBJECT, tracing)
        yield WorkerDeps(
            runner=EvalRunner(
                book=SqlRunBook(database, settings.max_attempts),
                target=target,
                clock=SystemClock(),
                metrics=EvalMetrics(registry),
                limits=Limits(
                    item_s=settings.item_timeout_s,
                    run_s=settings.run_timeout_s,
                    max_tries=settings.max_tries,
                    first_pause_s=settings.first_pause_s,
                    lease_s=settings.lease_s,
                ),
                new_owner=lambda: new_id("worker"),
                reader=RetrievalMeaning(RetrievalClient(retrieval)),
            ),
            registry=registry,
            probes={"sql": database.ping},
        )
