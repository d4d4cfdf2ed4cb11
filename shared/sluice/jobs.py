"""What services with jobs have in common: the API process that keeps them, and the worker process that does them."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sluice.auth import ServiceTokens
from sluice.clock import Clock, SystemClock
from sluice.contracts.base import Reply
from sluice.db import Database, open_database
from sluice.health import Probe, failing
from sluice.loops import Supervisor
from sluice.memory import settle_memory
from sluice.queues import Task
from sluice.redis import open_redis, redis_probe
from sluice.settings import PlatformSettings
from sluice.tasks import LoopThread, TaskSender, make_celery, register, run_worker
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice.workers import WorkerStatusServer


@dataclass(frozen=True, slots=True)
class JobService:
    """What the API process of a service with jobs has open; `loops` ends first, so that no loop meets a closed database."""

    registry: MetricRegistry
    tracing: Tracing
    tokens: ServiceTokens
    clock: Clock
    database: Database
    sender: TaskSender
    loops: Supervisor
    probes: Mapping[str, Probe]


@asynccontextmanager
async def open_job_service(service: str, platform: PlatformSettings, *, waits: str) -> AsyncIterator[JobService]:
    """Open it; `waits` names what is kept but not begun while Redis is away ("new runs"), for /readyz to say so."""
    registry = MetricRegistry(process=True)
    async with AsyncExitStack() as stack:
        tracing = Tracing(service, platform)
        stack.callback(tracing.close)
        database = open_database(platform, service)
        stack.push_async_callback(database.close)
        redis = open_redis(platform)
        stack.push_async_callback(redis.aclose)
        loops = Supervisor(registry)
        stack.push_async_callback(loops.close)
        yield JobService(
            registry=registry,
            tracing=tracing,
            tokens=ServiceTokens(platform.service_secret.get_secret_value(), service),
            clock=SystemClock(),
            database=database,
            sender=TaskSender(make_celery(service, platform)),
            loops=loops,
            probes={"sql": database.ping, "redis": redis_probe(redis, waits)},
        )


class WorkerSettings(Protocol):
    """What a worker process needs of its service's settings."""

    @property
    def worker_port(self) -> int:
        """Port of its health and metrics."""
        ...

    @property
    def worker_concurrency(self) -> int:
        """Jobs that it does at once."""
        ...


class WorkerDeps(Protocol):
    """What a worker process needs of its dependencies; each service's own has more."""

    @property
    def registry(self) -> MetricRegistry:
        """Where it declares its metrics."""
        ...

    @property
    def probes(self) -> Mapping[str, Probe]:
        """One per dependency."""
        ...


Deps = TypeVar("Deps", bound=WorkerDeps)
Payload = TypeVar("Payload", bound=Reply)


def work_on(
    service: str,
    platform: PlatformSettings,
    settings: WorkerSettings,
    opened: AbstractAsyncContextManager[Deps],
    task: Task[Payload],
    do: Callable[[Deps, Payload], Awaitable[None]],
    *,
    stop: Callable[[Deps], None] | None = None,
) -> None:
    """Do a service's jobs until told to stop (SIGTERM: those in work are finished first), and tell health and metrics.

    `stop` is called on SIGTERM, in the loop that does the jobs: where jobs may be long, it has them end early.
    """
    loop = LoopThread()
    stack = AsyncExitStack()
    # Until Celery listens to it itself, a second or two later: what is opened here may have begun to work by then, and is to be closed.
    signal.signal(signal.SIGTERM, _end)
    deps: Deps = loop.run(stack.enter_async_context(opened))

    def handle(payload: Payload) -> None:
        loop.run(do(deps, payload))

    def wrong() -> dict[str, str]:
        found: dict[str, str] = loop.run(failing(deps.probes))
        return found

    told = (lambda: loop.call(stop, deps)) if stop is not None else None
    with ExitStack() as ending:
        ending.callback(loop.close)
        ending.callback(lambda: loop.run(stack.aclose()))
        celery = make_celery(service, platform)
        register(celery, task, handle)
        status = WorkerStatusServer(f"{service}-worker", platform.host, settings.worker_port, deps.registry, wrong)
        ending.callback(status.close)
        status.start()
        settle_memory()
        run_worker(service, celery, concurrency=settings.worker_concurrency, told=told)


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise SystemExit
