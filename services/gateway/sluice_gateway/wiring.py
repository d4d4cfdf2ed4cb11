"""Opens what the gateway needs, and knows which adapter stands behind which port."""

import hashlib
import hmac
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import Depends
from redis.asyncio import Redis

from sluice.auth import ServiceTokens
from sluice.clients.feedback import FeedbackClient
from sluice.clients.guardrail import GuardrailClient
from sluice.clients.http import AiohttpTransport, ServiceClient
from sluice.clients.retrieval import RetrievalClient
from sluice.clients.router import RouterClient
from sluice.clock import Clock, SystemClock
from sluice.contracts.routing import RoutingSnapshot
from sluice.db import open_database
from sluice.health import Probe
from sluice.host_names import SystemNames
from sluice.huge_pages import use_huge_pages
from sluice.ids import new_id
from sluice.loops import Rounds, Supervisor
from sluice.queues import USAGE
from sluice.redis import open_redis
from sluice.secrets import ProviderSecrets
from sluice.service import deps_of
from sluice.settings import ConfigError, PlatformSettings, ServiceName
from sluice.tasks import TaskSender, make_celery
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_gateway.adapters.answer_cache import Invalidations, RedisAnswers
from sluice_gateway.adapters.asked_questions import RedisQuestions
from sluice_gateway.adapters.batch_queue import CeleryBatchQueue
from sluice_gateway.adapters.blob_store import open_blobs
from sluice_gateway.adapters.compaction_seal import CompactionSeal
from sluice_gateway.adapters.cooldown_channel import CooldownChannel
from sluice_gateway.adapters.credentials import DeploymentCredentials
from sluice_gateway.adapters.delegation import ServiceDelegations
from sluice_gateway.adapters.forwarding import Forwarder, Limits
from sluice_gateway.adapters.key_ring import KeyRingKeeper
from sluice_gateway.adapters.lease_store import RedisLeaseStore
from sluice_gateway.adapters.lives import Clearing, LifeBook
from sluice_gateway.adapters.price_keeper import PriceKeeper
from sluice_gateway.adapters.prompt_feedback import FeedbackOfPrompts
from sluice_gateway.adapters.prompt_filler import PromptFiller
from sluice_gateway.adapters.prompt_guard import PromptGuard
from sluice_gateway.adapters.redactor import GuardrailRedactor
from sluice_gateway.adapters.routing import SnapshotHolder
from sluice_gateway.adapters.tuning_samples import RedisSamples
from sluice_gateway.answer_store import AnswerStore
from sluice_gateway.audit_store import AuditStore
from sluice_gateway.batches.metrics import BatchApiMetrics
from sluice_gateway.batches.store import BatchStore
from sluice_gateway.batches.sweep import Sweep
from sluice_gateway.budget_store import BudgetStore
from sluice_gateway.cache.lasting import LastingAnswers
from sluice_gateway.cache.levels import AnswerCache
from sluice_gateway.cache.memory import MemoryCache
from sluice_gateway.cache.similar import SimilarQuestions
from sluice_gateway.cache.tuning import Thresholds
from sluice_gateway.dataplane.app import DataPlane
from sluice_gateway.dataplane.asgi import Receive, Scope, Send
from sluice_gateway.dataplane.background import Background
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.domain.allowed import names_in
from sluice_gateway.domain.batches import BatchQueue
from sluice_gateway.domain.key_admin import KeyAdmin
from sluice_gateway.domain.ring import MemoryKeyRing
from sluice_gateway.domain.tenancy_admin import TenancyAdmin
from sluice_gateway.files.opening import open_quotas, open_shelf
from sluice_gateway.files.shelf import Shelf
from sluice_gateway.metrics import GatewayMetrics
from sluice_gateway.plane_options import options_of
from sluice_gateway.price_store import PriceStore
from sluice_gateway.prompt_split_store import PromptSplitStore
from sluice_gateway.prompt_store import PromptStore
from sluice_gateway.prompt_tuning import PromptJudge
from sluice_gateway.prompt_usage_store import PromptUsageStore
from sluice_gateway.quota_store import QuotaStore
from sluice_gateway.responses.background_store import BackgroundStore
from sluice_gateway.responses.conversation_store import ConversationStore
from sluice_gateway.responses.following import Follower
from sluice_gateway.responses.keeper import ResponseKeeper
from sluice_gateway.responses.opening import open_responses
from sluice_gateway.responses.store import ResponseStore
from sluice_gateway.settings import Settings
from sluice_gateway.store import KeyStore
from sluice_gateway.tenancy_store import TenancyStore
from sluice_gateway.transcript_store import TranscriptStore
from sluice_gateway.usage.journal import Journal, JournalLimits
from sluice_gateway.usage.metrics import UsageMetrics
from sluice_gateway.usage.shipper import RedisEventStream, Shipper
from sluice_gateway.usage.sink import JournalSink
from sluice_gateway.usage.transcripts import TranscriptWriter
from sluice_gateway.usage_store import UsageStore

_log = logging.getLogger(__name__)
MIGRATIONS = Path(__file__).parent.parent / "migrations"
CONTROL_PLANE = "sluice_control_plane"
_MIN_PEPPER = 16


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that the gateway's handlers use."""

    platform: PlatformSettings
    settings: Settings
    registry: MetricRegistry
    tokens: ServiceTokens
    tracing: Tracing
    probes: Mapping[str, Probe]
    clock: Clock
    ring: MemoryKeyRing
    keys: KeyAdmin
    key_store: KeyStore
    tenancy: TenancyAdmin
    tenancy_store: TenancyStore
    audit_store: AuditStore
    usage: UsageStore
    transcripts: TranscriptStore
    responses: ResponseKeeper | None
    response_store: ResponseStore
    compactions: CompactionSeal
    background: BackgroundStore
    follower: Follower | None
    conversations: ConversationStore
    prices: PriceKeeper
    price_store: PriceStore
    prompts: PromptStore
    prompt_splits: PromptSplitStore
    prompt_usage: PromptUsageStore
    prompt_feedback: FeedbackOfPrompts
    prompt_judge: PromptJudge
    prompt_guard: PromptGuard
    budgets: BudgetStore
    routing: SnapshotHolder
    forwarder: Forwarder
    data_plane: DataPlane
    files: Shelf
    batches: BatchStore
    quotas: QuotaStore
    batch_queue: BatchQueue
    batch_metrics: BatchApiMetrics
    sweep: Rounds
    answers: AnswerCache
    invalidations: Invalidations
    cache_samples: RedisSamples


DepsDep = Annotated[Deps, Depends(deps_of)]


def check_config(platform: PlatformSettings, settings: Settings) -> None:
    """Raise if the pepper of API keys is missing where it must be set, or files have no place."""
    pepper_of(platform, settings)
    open_blobs(platform, settings)


def pepper_of(platform: PlatformSettings, settings: Settings) -> bytes:
    """Return the secret under which API keys are stored.

    On a developer's machine a missing one is derived from the platform's service secret.

    Raises:
        ConfigError: it is missing or short in production.
    """
    pepper = settings.key_pepper.get_secret_value().encode()
    if platform.env == "production" and len(pepper) < _MIN_PEPPER:
        raise ConfigError(
            f"SLUICE_GATEWAY_KEY_PEPPER is missing or shorter than {_MIN_PEPPER} characters; set it once (for example to the "
            "output of `openssl rand -hex 32`) and keep it: with another value every API key is unknown."
        )
    if pepper:
        return pepper
    return hmac.digest(platform.service_secret.get_secret_value().encode(), b"sluice key pepper v1", hashlib.sha256)


@asynccontextmanager
async def open_deps(platform: PlatformSettings, settings: Settings) -> AsyncIterator[Deps]:
    """Open the dependencies, start the loops, and close everything at the end."""
    async with AsyncExitStack() as stack:
        registry = MetricRegistry(process=True)
        tracing = Tracing("gateway", platform)
        stack.callback(tracing.close)
        tokens = ServiceTokens(platform.service_secret.get_secret_value(), "gateway")
        database = open_database(platform, "gateway")
        stack.push_async_callback(database.close)
        redis = open_redis(platform)
        stack.push_async_callback(redis.aclose)
        transport = AiohttpTransport()
        stack.push_async_callback(transport.close)
        forwarder = Forwarder(Limits(settings.max_body_bytes, settings.max_upload_bytes, settings.forward_timeout_s))
        stack.push_async_callback(forwarder.close)
        loops = Supervisor(registry)
        pepper = pepper_of(platform, settings)
        clock = SystemClock()

        def client(service: ServiceName) -> ServiceClient:
            url, check = platform.service_url(service), partial(platform.require, service)
            return ServiceClient(service, url, tokens, transport, tracing, subject="gateway", check=check)

        router = RouterClient(client("router"))

        journal = _open_journal(platform, settings, stack)
        responses = open_responses(platform, settings, database, registry, stack)
        shipper = Shipper(
            journal, RedisEventStream(redis, USAGE), UsageMetrics(registry, journal), linger_s=settings.usage_linger_s
        )
        stack.push_async_callback(shipper.finish)
        usage = UsageStore(database)
        book = LifeBook(platform.data_dir / "gateway" / "lives.json", new_id("life"))
        leases = RedisLeaseStore(
            _impatient_redis(platform, stack),
            usage,
            book.life,
            grace_s=settings.limits_grace_s,
            dead_after_s=settings.limits_dead_after_s,
        )
        clearing = Clearing(book, redis, journal, USAGE, usage)

        ring = MemoryKeyRing(pepper, ServiceDelegations(tokens))
        key_store, tenancy_store = KeyStore(database), TenancyStore(database)
        keeper = KeyRingKeeper(key_store, ring, redis, reload_s=settings.keys_reload_s)
        await keeper.load()

        far = RedisAnswers(_impatient_redis(platform, stack), clock)
        answer_store = AnswerStore(database)
        lasting = LastingAnswers(answer_store, clock, most_bytes=settings.cache_database_bytes)
        levels = (far, lasting) if settings.cache_database_bytes else (far,)
        answers = AnswerCache(MemoryCache(settings.cache_memory_bytes), levels, far)
        invalidations = Invalidations(redis, answers, clock, answer_store)
        retrieval = RetrievalClient(client("retrieval"))
        similar = SimilarQuestions(
            RedisQuestions(_impatient_redis(platform, stack)),
            retrieval,
            clock,
            model=settings.cache_embedding_model,
            patience_s=settings.cache_semantic_patience_s,
        )
        stack.push_async_callback(similar.close)
        stack.push_async_callback(lasting.close)
        stack.push_async_callback(answers.close)
        user_types = frozenset(settings.user_types)
        metrics = GatewayMetrics(registry, user_types)
        lasting.on_size = metrics.cache_database_bytes.set

        samples = RedisSamples(redis)
        thresholds = Thresholds(
            samples,
            similar,
            clock,
            on_sample=lambda name, agrees: metrics.cache_samples.labels(name, "yes" if agrees else "no").inc(),
            on_threshold=lambda name, threshold: metrics.cache_threshold.labels(name).set(threshold),
        )
        stack.push_async_callback(thresholds.close)

        guardrail = GuardrailClient(client("guardrail"))
        transcript_store = TranscriptStore(database)
        transcripts = TranscriptWriter(transcript_store, GuardrailRedactor(guardrail), clock, registry)
        stack.push_async_callback(transcripts.close)
        credentials = DeploymentCredentials(tokens, ProviderSecrets(platform.secrets_dir))
        prompt_store = PromptStore(database)
        background = BackgroundStore(database, settings.background_unfinished)
        follower = None if responses is None else Follower(responses.get, clock, longest_s=settings.background_stream_s)
        compactions = CompactionSeal(platform.service_secret.get_secret_value())
        data_plane = DataPlane(
            DataPlaneDeps(
                keys=ring,
                usage=JournalSink(journal, book.life),
                leases=leases,
                credentials=credentials,
                guard=guardrail,
                router=router,
                retrieval=retrieval,
                tracing=tracing,
                metrics=metrics,
                clock=clock,
                options=options_of(platform, settings, user_types),
                answers=answers,
                similar=similar,
                thresholds=thresholds,
                names=SystemNames(),
                transcripts=transcripts,
                prompts=PromptFiller(prompt_store),
                responses=responses,
                compactions=compactions,
                background=None
                if responses is None or follower is None
                else Background(background, follower, responses, registry, wait_s=settings.background_wait_s),
            ),
            _to_control_plane,
        )
        stack.push_async_callback(_leave, data_plane, book)
        stack.push_async_callback(data_plane.close)
        cooldowns = CooldownChannel(redis, data_plane.cooldowns, clock)
        price_store = PriceStore(database)
        prices = PriceKeeper(price_store, redis, clock, data_plane.use, reload_s=settings.keys_reload_s)
        await prices.load()

        def use(snapshot: RoutingSnapshot) -> None:
            credentials.expect(snapshot)
            prices.use(snapshot)
            ring.use_names(names_in(snapshot))

        holder = SnapshotHolder(redis, router, use, reload_s=settings.snapshot_reload_s)
        await holder.begin()

        prompt_usage = PromptUsageStore(database)
        prompt_feedback = FeedbackOfPrompts(FeedbackClient(client("feedback")))

        shelf = open_shelf(platform, settings, database, clock, retrieval)
        quotas = open_quotas(settings, database)
        batches = BatchStore(database, quotas, settings.batch_max_bytes, settings.batch_keep_s)
        batch_queue = CeleryBatchQueue(TaskSender(make_celery("gateway", platform)))
        batch_metrics = BatchApiMetrics(registry)
        sweep = Sweep(batches, shelf, quotas, batch_queue, batch_metrics, clock, settings.batch_resend_s)
        rounds = Rounds(sweep.round, settings.batch_sweep_s)

        stack.push_async_callback(loops.close)
        loops.start("batch-sweep", rounds.run)
        loops.start("aws-role", credentials.role.keep)
        data_plane.leases.on_loss = shipper.lost
        loops.start("usage-shipper", shipper.run)
        loops.start("usage-repeat", shipper.repeat)
        loops.start("limits-leases", data_plane.leases.run)
        loops.start("limits-clearing", clearing.run)
        loops.start("cache-invalidations", invalidations.follow)
        loops.start("cache-database", lasting.run)
        loops.start("transcripts", transcripts.run)
        if responses is not None:
            loops.start("responses", responses.run)
        loops.start("cooldowns-send", cooldowns.send)
        loops.start("cooldowns-follow", cooldowns.follow)
        loops.start("keys-follow", keeper.follow)
        loops.start("keys-look", keeper.look)
        loops.start("prices-follow", prices.follow)
        loops.start("prices-look", prices.look)
        loops.start("routing-follow", holder.follow)
        loops.start("routing-look", holder.look)
        if settings.huge_pages:
            _log.info("%d MiB lie in huge pages", use_huge_pages() >> 20)
        yield Deps(
            platform=platform,
            settings=settings,
            registry=registry,
            tokens=tokens,
            tracing=tracing,
            probes={"routing": holder.probe, "keys": keeper.probe, "journal": journal.probe},
            clock=clock,
            ring=ring,
            keys=KeyAdmin(
                repository=key_store,
                announcer=keeper,
                pepper=pepper,
                entropy=secrets.token_bytes,
                new_id=new_id,
                known_policies=holder.known_policies,
                user_types=user_types,
            ),
            key_store=key_store,
            tenancy=TenancyAdmin(tenancy_store, keeper, new_id, holder.known_policies),
            tenancy_store=tenancy_store,
            audit_store=AuditStore(database),
            usage=usage,
            transcripts=transcript_store,
            responses=responses,
            response_store=ResponseStore(database),
            compactions=compactions,
            background=background,
            follower=follower,
            conversations=ConversationStore(database),
            prices=prices,
            price_store=price_store,
            prompts=prompt_store,
            prompt_splits=PromptSplitStore(database),
            prompt_usage=prompt_usage,
            prompt_feedback=prompt_feedback,
            prompt_judge=PromptJudge(prompt_usage, prompt_feedback),
            prompt_guard=PromptGuard(guardrail),
            budgets=BudgetStore(database),
            routing=holder,
            forwarder=forwarder,
            data_plane=data_plane,
            files=shelf,
            quotas=quotas,
            batches=batches,
            batch_queue=batch_queue,
            batch_metrics=batch_metrics,
            sweep=rounds,
            answers=answers,
            invalidations=invalidations,
            cache_samples=samples,
        )


def _open_journal(platform: PlatformSettings, settings: Settings, stack: AsyncExitStack) -> Journal:
    journal = Journal(
        platform.data_dir / "gateway" / "journal",
        JournalLimits(settings.journal_segment_bytes, settings.journal_max_bytes),
    )
    journal.open()
    stack.callback(journal.close)
    return journal


def _impatient_redis(platform: PlatformSettings, stack: AsyncExitStack) -> Redis:
    # Without retries: a question for leases is asked again with newer figures, a cache is skipped, and nobody waits for a
    # Redis that is away.
    redis = open_redis(platform, retries=0)
    stack.push_async_callback(redis.aclose)
    return redis


async def _leave(data_plane: DataPlane, book: LifeBook) -> None:
    if await data_plane.leases.finish():
        book.forget(book.life)


async def _to_control_plane(scope: Scope, receive: Receive, send: Send) -> None:
    await scope[CONTROL_PLANE](scope, receive, send)
