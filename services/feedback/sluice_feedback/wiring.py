"""Opens what the feedback service needs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends
from redis.asyncio import Redis

from sluice.auth import ServiceTokens
from sluice.clock import Clock, SystemClock
from sluice.consumer import StreamConsumer
from sluice.contracts.feedback import FeedbackRecorded, ReviewReason
from sluice.contracts.usage import UsageRecorded
from sluice.db import open_database
from sluice.health import Probe
from sluice.loops import Supervisor
from sluice.queues import FEEDBACK, USAGE
from sluice.redis import open_redis
from sluice.service import deps_of
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_feedback.adapters.outbox import OutboxPublisher
from sluice_feedback.adapters.patience import patient
from sluice_feedback.domain.events import ReviewOpener, UsageFollower
from sluice_feedback.metrics import FeedbackMetrics
from sluice_feedback.settings import Settings
from sluice_feedback.store.entries import EntryStore
from sluice_feedback.store.interactions import InteractionStore
from sluice_feedback.store.outbox import OutboxStore
from sluice_feedback.store.reviews import ReviewStore

MIGRATIONS = Path(__file__).parent.parent / "migrations"
GROUP = "feedback"
_USAGE_ENTRIES = 16  # of up to 128 KiB of records each
_DAY_S = 86_400.0
_FORGET_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that the handlers use."""

    platform: PlatformSettings
    settings: Settings
    registry: MetricRegistry
    tokens: ServiceTokens
    tracing: Tracing
    probes: Mapping[str, Probe]
    clock: Clock
    entries: EntryStore
    reviews: ReviewStore
    outbox: OutboxPublisher
    metrics: FeedbackMetrics


DepsDep = Annotated[Deps, Depends(deps_of)]


@asynccontextmanager
async def open_deps(platform: PlatformSettings, settings: Settings) -> AsyncIterator[Deps]:
    """Open the dependencies and start the loops; close all at the end.

    Redis is no part of readiness: feedback is taken while it is away, and its events wait in the outbox.
    """
    registry = MetricRegistry(process=True)
    metrics = FeedbackMetrics(registry)
    tracing = Tracing("feedback", platform)
    clock = SystemClock()
    database = open_database(platform, "feedback")
    redis = open_redis(platform)
    reviews = ReviewStore(database)
    interactions = InteractionStore(database)
    outbox = OutboxPublisher(OutboxStore(database), redis, metrics, settings.outbox_poll_s, settings.outbox_batch)
    loops = Supervisor(registry)
    loops.start("outbox", outbox.run)

    def opened(reason: ReviewReason) -> None:
        metrics.reviews.labels(reason).inc()

    follower = UsageFollower(interactions, metrics.interactions.inc, reviews, clock, opened)
    loops.start("usage", _usage(redis, settings, follower, metrics).run)
    opener = ReviewOpener(reviews, clock, opened)
    loops.start("reviews", _feedback(redis, settings, opener, metrics).run)
    loops.start("forget", lambda: _forget(interactions, clock, settings.interactions_keep_days * _DAY_S))
    try:
        yield Deps(
            platform=platform,
            settings=settings,
            registry=registry,
            tokens=ServiceTokens(platform.service_secret.get_secret_value(), "feedback"),
            tracing=tracing,
            probes={"database": database.ping},
            clock=clock,
            entries=EntryStore(database),
            reviews=reviews,
            outbox=outbox,
            metrics=metrics,
        )
    finally:
        await loops.close()
        await redis.aclose()
        await database.close()
        tracing.close()


def _usage(
    redis: Redis, settings: Settings, handle: UsageFollower, metrics: FeedbackMetrics
) -> StreamConsumer[UsageRecorded]:
    return StreamConsumer(
        redis,
        USAGE,
        USAGE.read,
        GROUP,
        _consumer(settings),
        patient(handle),
        batch=_USAGE_ENTRIES,
        on_dead_letter=metrics.dead_letters.labels("usage").inc,
    )


def _feedback(
    redis: Redis, settings: Settings, handle: ReviewOpener, metrics: FeedbackMetrics
) -> StreamConsumer[FeedbackRecorded]:
    return StreamConsumer(
        redis,
        FEEDBACK,
        FEEDBACK.read,
        GROUP,
        _consumer(settings),
        patient(handle),
        on_dead_letter=metrics.dead_letters.labels("feedback").inc,
    )


def _consumer(settings: Settings) -> str:
    # The same name after a restart, so that what was read before a crash is handled at once.
    return f"{socket.gethostname()}:{settings.port}"


async def _forget(interactions: InteractionStore, clock: Clock, keep_s: float) -> None:
    while True:
        await interactions.forget(clock.now() - keep_s)
        await asyncio.sleep(_FORGET_EVERY_S)
