"""Opens what the gateway's worker needs for its duties: usage is written, old records are deleted, batches and responses in the background are done."""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import aiohttp
from redis.asyncio import Redis

from sluice.auth import ServiceTokens
from sluice.clients.egress import trusted
from sluice.clients.feedback import FeedbackClient
from sluice.clients.http import AiohttpTransport, ServiceClient
from sluice.clients.router import RouterClient
from sluice.clock import SystemClock
from sluice.consumer import StreamConsumer
from sluice.contracts.usage import UsageRecorded
from sluice.db import Database, open_database
from sluice.errors import DependencyUnavailable
from sluice.health import Probe
from sluice.ids import new_id
from sluice.loops import Supervisor
from sluice.queues import USAGE
from sluice.redis import open_redis
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_gateway.adapters.batch_target import GatewayTarget
from sluice_gateway.adapters.key_check import StoredKeys
from sluice_gateway.adapters.loads import ModelLoads
from sluice_gateway.adapters.prompt_feedback import FeedbackOfPrompts
from sluice_gateway.batches.asker import AskLimits, BatchAsker
from sluice_gateway.batches.book import SqlBatchBook
from sluice_gateway.batches.files import BatchPapers
from sluice_gateway.batches.gate import Gate
from sluice_gateway.batches.metrics import BatchWorkerMetrics
from sluice_gateway.batches.runner import BatchRunner, RunLimits
from sluice_gateway.budget_alerts import BudgetAlerts, Webhook
from sluice_gateway.budget_store import BudgetStore
from sluice_gateway.domain.batches import WORKER_SUBJECT, KeyCheck
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.files.opening import open_shelf
from sluice_gateway.prompt_split_store import PromptSplitStore
from sluice_gateway.prompt_tuning import PromptJudge, PromptTuner
from sluice_gateway.prompt_usage_store import PromptUsageStore
from sluice_gateway.responses.background_metrics import BackgroundMetrics
from sluice_gateway.responses.background_runner import BackgroundLimits, BackgroundRunner
from sluice_gateway.responses.background_store import BackgroundStore
from sluice_gateway.retention import Keep, Retention
from sluice_gateway.retention_store import RetentionStore
from sluice_gateway.settings import Settings
from sluice_gateway.store import KeyStore
from sluice_gateway.usage.consumer import UsageWriter
from sluice_gateway.usage.entries import usage_rows
from sluice_gateway.usage.latencies import LatencyBoard
from sluice_gateway.usage.metrics import ConsumerMetrics
from sluice_gateway.usage_store import UsageStore

SERVICE = "gateway"
_USAGE_GROUP = "gateway-usage"
_USAGE_LOOP = "usage-consumer"
_DEAD_LETTERS_KEPT = 100_000
_LOADS_KEPT_S = 2.0
_DAY_S = 86_400
_MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WorkerDeps:
    """What the worker process has open."""

    runner: BatchRunner
    registry: MetricRegistry
    probes: Mapping[str, Probe]


@asynccontextmanager
async def open_worker(platform: PlatformSettings, settings: Settings) -> AsyncIterator[WorkerDeps]:
    """Open what the worker needs; usage is consumed and old records are deleted as long as it is open."""
    async with AsyncExitStack() as stack:
        registry = MetricRegistry(process=True)
        tracing = Tracing(WORKER_SUBJECT, platform)
        stack.callback(tracing.close)
        database = open_database(platform, SERVICE)
        stack.push_async_callback(database.close)
        redis = open_redis(platform)
        stack.push_async_callback(redis.aclose)
        transport = AiohttpTransport()
        stack.push_async_callback(transport.close)
        connector = aiohttp.TCPConnector(limit=0, ssl=trusted())
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        tokens = ServiceTokens(platform.service_secret.get_secret_value(), SERVICE)
        router = RouterClient(
            ServiceClient("router", platform.service_url("router"), tokens, transport, tracing, subject=WORKER_SUBJECT)
        )
        feedback = FeedbackClient(
            ServiceClient(
                "feedback",
                platform.service_url("feedback"),
                tokens,
                transport,
                tracing,
                subject=WORKER_SUBJECT,
                check=partial(platform.require, "feedback"),
            )
        )
        target = GatewayTarget(session, platform.service_url("gateway"), tokens, _MAX_ANSWER_BYTES)
        keys = StoredKeys(KeyStore(database), SystemClock())
        aside = background(database, target, keys, registry, settings)
        stack.push_async_callback(aside.close)
        loops = Supervisor(registry)
        stack.push_async_callback(loops.close)
        loops.start("background-responses", aside.run)
        loops.start(_USAGE_LOOP, usage_consumer(redis, database, registry, settings).run)
        loops.start("retention", retention(database, registry, settings).run)
        loops.start("prompt-tuning", prompt_tuner(database, feedback, registry, settings).run)
        if settings.budget_webhook_url.get_secret_value():
            loops.start("budget-alerts", budget_alerts(database, session, registry, settings).run)

        async def consuming() -> None:
            if not loops.is_running(_USAGE_LOOP):
                raise DependencyUnavailable("The usage consumer has ended; see the log.")

        yield WorkerDeps(
            runner=_runner(
                platform, settings, database, target, keys, ModelLoads(router, SystemClock(), _LOADS_KEPT_S), registry
            ),
            registry=registry,
            probes={_USAGE_LOOP: consuming},
        )


def background(
    database: Database, target: GatewayTarget, keys: KeyCheck, registry: MetricRegistry, settings: Settings
) -> BackgroundRunner:
    """Return what does responses in the background."""
    limits = BackgroundLimits(
        lanes=settings.background_lanes,
        look_s=settings.background_look_s,
        lease_s=settings.batch_lease_s,
        request_s=settings.background_timeout_s,
        first_pause_s=settings.batch_first_pause_s,
        grace_s=settings.batch_grace_s,
        max_tries=settings.batch_max_tries,
        most_bytes=settings.responses_max_bytes,
        keep_s=settings.responses_keep_days * _DAY_S,
    )
    return BackgroundRunner(
        book=BackgroundStore(database, settings.background_unfinished),
        target=target,
        keys=keys,
        clock=SystemClock(),
        metrics=BackgroundMetrics(registry),
        limits=limits,
        owner=new_id("worker"),
    )


def retention(database: Database, registry: MetricRegistry, settings: Settings) -> Retention:
    """Return what deletes records that are older than they are kept."""
    keep = Keep(settings.usage_retention_days, settings.audit_retention_days)
    return Retention(RetentionStore(database), keep, SystemClock(), registry, every_s=settings.retention_every_s)


def prompt_tuner(
    database: Database, feedback: FeedbackClient, registry: MetricRegistry, settings: Settings
) -> PromptTuner:
    """Return what moves the splits of prompts that tune themselves."""
    judge = PromptJudge(PromptUsageStore(database), FeedbackOfPrompts(feedback))
    return PromptTuner(
        PromptSplitStore(database), judge, SystemClock(), registry, every_s=settings.prompt_tuning_look_s
    )


def budget_alerts(
    database: Database, session: aiohttp.ClientSession, registry: MetricRegistry, settings: Settings
) -> BudgetAlerts:
    """Return what tells the webhook of budgets."""
    webhook = Webhook(
        settings.budget_webhook_url.get_secret_value(),
        settings.budget_webhook_secret.get_secret_value(),
        settings.budget_alert_shares,
    )
    return BudgetAlerts(
        BudgetStore(database), webhook, session, SystemClock(), registry, every_s=settings.budget_look_s
    )


def usage_consumer(
    redis: Redis, database: Database, registry: MetricRegistry, settings: Settings
) -> StreamConsumer[UsageRows]:
    """Return the consumer of the usage stream; its name must be the same after a restart, see `StreamConsumer`."""
    metrics = ConsumerMetrics(registry)

    async def bury(events: Sequence[UsageRecorded]) -> None:
        async with redis.pipeline(transaction=True) as pipe:
            for event in events:
                pipe.xadd(
                    USAGE.dead_letters, {b"d": event.model_dump_json()}, maxlen=_DEAD_LETTERS_KEPT, approximate=True
                )
            await pipe.execute()

    writer, board = UsageWriter(UsageStore(database), metrics, bury), LatencyBoard(redis, SystemClock())

    async def handle(parts: Sequence[UsageRows]) -> None:
        await writer.handle(parts)
        await board.take(parts)

    return StreamConsumer(
        redis=redis,
        stream=USAGE,
        read=usage_rows,
        group=_USAGE_GROUP,
        consumer=settings.consumer_name or socket.gethostname(),
        handle=handle,
        batch=settings.usage_batch,
        gather_s=settings.usage_gather_s,
        on_dead_letter=metrics.dead.inc,
    )


def _runner(
    platform: PlatformSettings,
    settings: Settings,
    database: Database,
    target: GatewayTarget,
    keys: KeyCheck,
    loads: ModelLoads,
    registry: MetricRegistry,
) -> BatchRunner:
    clock = SystemClock()
    book = SqlBatchBook(database)
    papers = BatchPapers(open_shelf(platform, settings, database, clock), book, clock, new_id)
    metrics = BatchWorkerMetrics(registry)
    asker = BatchAsker(
        book=book,
        papers=papers,
        target=target,
        keys=keys,
        gate=Gate(
            clock=clock,
            busy=loads.share,
            busy_share=settings.batch_busy_share,
            most=settings.batch_lanes,
            most_in_all=settings.batch_lanes_in_all,
        ),
        clock=clock,
        metrics=metrics,
        limits=AskLimits(
            lanes=settings.batch_lanes,
            max_tries=settings.batch_max_tries,
            request_s=settings.batch_request_timeout_s,
            first_pause_s=settings.batch_first_pause_s,
            grace_s=settings.batch_grace_s,
        ),
        new_id=new_id,
    )
    return BatchRunner(
        book=book,
        papers=papers,
        asker=asker,
        clock=clock,
        metrics=metrics,
        limits=RunLimits(
            lease_s=settings.batch_lease_s,
            turn_s=settings.batch_turn_s,
            most_of_one=max(1, settings.worker_concurrency // 2),
            max_lines=settings.batch_max_requests,
            max_line_bytes=settings.max_body_bytes,
        ),
        new_owner=lambda: new_id("worker"),
    )
