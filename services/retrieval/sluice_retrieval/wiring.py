"""Which adapter stands behind which port, for the API process and for the worker."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends

from sluice.auth import ServiceTokens
from sluice.clients.http import AiohttpTransport, ServiceClient
from sluice.clock import Clock, SystemClock
from sluice.contracts.questions import RewriteMethod
from sluice.contracts.retrieval import RerankMethod
from sluice.db import open_database
from sluice.errors import DependencyUnavailable
from sluice.health import Probe
from sluice.jobs import open_job_service
from sluice.loops import Rounds, Supervisor
from sluice.service import deps_of
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_retrieval.adapters.duck import DuckTables
from sluice_retrieval.adapters.extract.sandbox import ParseLimits, ProcessExtractor
from sluice_retrieval.adapters.gateway_files import GatewayFiles
from sluice_retrieval.adapters.languages import Languages
from sluice_retrieval.adapters.minilm import DIMENSIONS, MiniLmEmbedder, find_model_files
from sluice_retrieval.adapters.queue import CeleryIngestQueue
from sluice_retrieval.adapters.remote import RemoteVectorStore
from sluice_retrieval.adapters.vector_cache import CachedEmbedder, VectorCache
from sluice_retrieval.domain.activity import Activity
from sluice_retrieval.domain.bm25 import Bm25Parameters
from sluice_retrieval.domain.embedding import Embedder
from sluice_retrieval.domain.errors import RerankerNotConfigured, RewriterNotConfigured
from sluice_retrieval.domain.extraction import Extractor, FileSource
from sluice_retrieval.domain.fusion import Fusion
from sluice_retrieval.domain.ingest import AWAY, Ingestor
from sluice_retrieval.domain.openai import EmbeddingLimits
from sluice_retrieval.domain.points import OwnedVectorStore, VectorStore
from sluice_retrieval.domain.questions.rules import WithRules
from sluice_retrieval.domain.questions.understanding import LanguageTeller, Rewriter
from sluice_retrieval.domain.rerank import FeatureReranker, Reranker, WithFallback
from sluice_retrieval.domain.sweep import Sweep
from sluice_retrieval.domain.tables import TableEngine
from sluice_retrieval.metrics import IngestMetrics, Metrics
from sluice_retrieval.settings import RetrievalSettings
from sluice_retrieval.store.files import Files
from sluice_retrieval.store.jobs import IngestJobs
from sluice_retrieval.store.library import Library

_log = logging.getLogger(__name__)
SERVICE: Final = "retrieval"
WORKER_SUBJECT = "retrieval-worker"


@dataclass(frozen=True, slots=True)
class Deps:
    """What the API process has open."""

    platform: PlatformSettings
    settings: RetrievalSettings
    registry: MetricRegistry
    metrics: Metrics
    tokens: ServiceTokens
    tracing: Tracing
    clock: Clock
    library: Library
    files: Files
    sources: FileSource
    activity: Activity
    vectors: OwnedVectorStore
    embedder: Embedder
    extractor: Extractor
    sweep: Sweep
    sending: Rounds
    removing: Rounds
    limits: EmbeddingLimits
    fusion: Fusion
    searched_by: str
    rerankers: Mapping[RerankMethod, Reranker]
    model_rewriter: Rewriter | None
    languages: LanguageTeller
    tables: TableEngine
    probes: Mapping[str, Probe]

    def reranker(self, method: RerankMethod) -> Reranker | None:
        """Return who ranks anew, None for `none`.

        Raises:
            RerankerNotConfigured: a cross-encoder is asked for and none is configured.
        """
        if method == "none":
            return None
        found = self.rerankers.get(method)
        if found is None:
            raise RerankerNotConfigured(
                "No reranking model is configured. Set SLUICE_RETRIEVAL_RERANK_URL, or use `rerank: features`."
            )
        return found

    def rewriter(self, method: RewriteMethod) -> Rewriter | None:
        """Return the chat model that rewrites questions, None where rules do.

        Raises:
            RewriterNotConfigured: a chat model is asked for and none is configured.
        """
        if method != "model":
            return None
        if self.model_rewriter is None:
            raise RewriterNotConfigured(
                "No rewriting model is configured. Set SLUICE_RETRIEVAL_REWRITE_URL, or use `rewrite: rules`."
            )
        return self.model_rewriter


DepsDep = Annotated[Deps, Depends(deps_of)]


@asynccontextmanager
async def open_deps(platform: PlatformSettings, settings: RetrievalSettings) -> AsyncIterator[Deps]:
    """Open what the API process needs; the embedding model is read while the service already answers."""
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(open_job_service(SERVICE, platform, waits="new documents"))
        metrics = Metrics(service.registry)
        vectors = await _open_vectors(platform, settings)
        stack.push_async_callback(vectors.close)
        embedder = _cached(_embedder(settings, metrics, idle_s=0), platform, settings, metrics)
        stack.push_async_callback(embedder.close)
        jobs = IngestJobs(service.database, settings.max_attempts)
        sweep = Sweep(jobs, CeleryIngestQueue(service.sender), vectors, service.clock, settings.resend_s)

        async def embedder_is_loaded() -> None:
            if not embedder.loaded():
                raise DependencyUnavailable("The embedding model is still being read.")

        activity = Activity()
        rerankers = await _rerankers(settings, metrics, stack)
        counts = await vectors.document_counts()
        if counts is not None and (reopened := await jobs.reopen_incomplete(counts, service.clock.now())):
            _log.warning("%d documents lack chunks in the index and are ingested again", reopened)
        sending = _rounds(settings, metrics, lambda: _send(sweep, jobs, metrics))
        removing = _rounds(settings, metrics, lambda: _remove(sweep, vectors, metrics, jobs, activity, service.clock))
        stack.push_async_callback(service.loops.close)  # before the vector store and the model that they use
        languages = Languages()
        service.loops.start("load-model", embedder.load)
        service.loops.start("restem", lambda: _restem(sweep, languages, settings.sweep_s))
        service.loops.start("ingest-sweep", sending.run)
        service.loops.start("removal-sweep", removing.run)
        yield Deps(
            platform=platform,
            settings=settings,
            registry=service.registry,
            metrics=metrics,
            tokens=service.tokens,
            tracing=service.tracing,
            clock=service.clock,
            library=Library(service.database),
            files=Files(service.database),
            sources=_sources(platform, settings, stack),
            activity=activity,
            vectors=vectors,
            embedder=embedder,
            extractor=_extractor(settings),
            sweep=sweep,
            sending=sending,
            removing=removing,
            limits=EmbeddingLimits(
                settings.embedding_model, DIMENSIONS, settings.embed_max_inputs, settings.embed_max_tokens
            ),
            fusion=Fusion(settings.hybrid_rrf_k, settings.hybrid_bm25_weight),
            searched_by=_searched_by(embedder, settings),
            rerankers=rerankers,
            model_rewriter=_rewriter(settings, metrics, stack),
            languages=languages,
            tables=DuckTables(settings.table_query_memory_mb, settings.table_query_timeout_s),
            probes={**service.probes, "vector_store": vectors.ping, "embedder": embedder_is_loaded},
        )


@dataclass(frozen=True, slots=True)
class WorkerDeps:
    """What the worker process has open."""

    ingestor: Ingestor
    registry: MetricRegistry
    probes: Mapping[str, Probe]


@asynccontextmanager
async def open_worker(
    platform: PlatformSettings, settings: RetrievalSettings, other_embedder: Embedder | None = None
) -> AsyncIterator[WorkerDeps]:
    """Open what the worker needs; the embedding model is read with the first document and freed when idle."""
    registry = MetricRegistry(process=True)
    metrics = Metrics(registry)
    tracing = Tracing(WORKER_SUBJECT, platform)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.callback(tracing.close)
        database = open_database(platform, SERVICE)
        stack.push_async_callback(database.close)
        vectors: VectorStore
        if platform.qdrant_url:
            vectors = await _open_vectors(platform, settings)
        else:
            transport = AiohttpTransport()
            stack.push_async_callback(transport.close)
            url = platform.service_url(SERVICE)
            vectors = RemoteVectorStore(
                ServiceClient(SERVICE, url, _tokens(platform), transport, tracing, subject=WORKER_SUBJECT)
            )
        stack.push_async_callback(vectors.close)
        supervisor = Supervisor(registry)
        embedder = other_embedder
        if embedder is None:
            model = _embedder(settings, metrics, idle_s=settings.worker_model_idle_s)
            embedder = _cached(model, platform, settings, metrics)
            supervisor.start("free-model", _free_when_idle(model))
        stack.push_async_callback(embedder.close)
        stack.push_async_callback(supervisor.close)
        yield WorkerDeps(
            ingestor=Ingestor(
                record=IngestJobs(database, settings.max_attempts),
                vectors=vectors,
                embedder=embedder,
                bm25=Bm25Parameters(settings.bm25_k1, settings.bm25_b),
                clock=clock,
                observer=IngestMetrics(metrics),
                lease_s=settings.lease_s,
                files=_sources(platform, settings, stack),
                extractor=_extractor(settings),
                languages=Languages(),
            ),
            registry=registry,
            probes={"sql": database.ping, "vector_store": vectors.ping},
        )


def check_config(platform: PlatformSettings, settings: RetrievalSettings) -> None:
    """Raise, with a sentence, if the service could not start: the model's wheels are looked for."""
    del platform, settings
    find_model_files()


async def _open_vectors(platform: PlatformSettings, settings: RetrievalSettings) -> OwnedVectorStore:
    # Only the chosen engine is imported: each takes tens of megabytes.
    if platform.qdrant_url:
        from sluice_retrieval.adapters.server import ServerVectorStore, connect  # noqa: PLC0415 - one of the two engines

        key = settings.qdrant_api_key.get_secret_value() or None
        return ServerVectorStore(connect(platform.qdrant_url, key), DIMENSIONS)
    from sluice_retrieval.adapters.edge import EdgeVectorStore  # noqa: PLC0415 - one of the two engines

    return await EdgeVectorStore.open(platform.data_dir.absolute() / "vectors", DIMENSIONS)


def _embedder(settings: RetrievalSettings, metrics: Metrics, idle_s: float) -> MiniLmEmbedder:
    return MiniLmEmbedder(
        find_model_files(),
        metrics,
        threads=settings.embed_threads,
        batch_tokens=settings.embed_batch_tokens,
        idle_s=idle_s,
    )


def _cached(embedder: Embedder, platform: PlatformSettings, settings: RetrievalSettings, metrics: Metrics) -> Embedder:
    if not settings.embed_cache_vectors:
        return embedder
    file = platform.data_dir.absolute() / "embeddings.sqlite"
    return CachedEmbedder(embedder, VectorCache(file, settings.embed_cache_vectors), metrics.embed_cache)


async def _rerankers(
    settings: RetrievalSettings, metrics: Metrics, stack: AsyncExitStack
) -> dict[RerankMethod, Reranker]:
    features = FeatureReranker()
    if not settings.rerank_url:
        return {"features": features}
    from sluice_retrieval.adapters.cross_encoder import CrossEncoder  # noqa: PLC0415 - only where a model ranks

    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    model = CrossEncoder(
        transport,
        settings.rerank_url,
        settings.rerank_model,
        settings.rerank_api_key.get_secret_value(),
        settings.rerank_timeout_s,
    )
    return {"features": features, "model": WithFallback(model, features, metrics.rerank_failures.inc)}


def _searched_by(embedder: Embedder, settings: RetrievalSettings) -> str:
    """Name the models and settings that rank in all stores: with others a search finds something else."""
    ranking = (settings.hybrid_rrf_k, settings.hybrid_bm25_weight, settings.rerank_url, settings.rerank_model)
    return f"{embedder.name} {embedder.dimensions} {ranking} {settings.rewrite_url} {settings.rewrite_model}"


def _rewriter(settings: RetrievalSettings, metrics: Metrics, stack: AsyncExitStack) -> Rewriter | None:
    if not settings.rewrite_url:
        return None
    from sluice_retrieval.adapters.chat_rewriter import ChatRewriter  # noqa: PLC0415 - only where a model rewrites

    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    model = ChatRewriter(
        transport,
        settings.rewrite_url,
        settings.rewrite_model,
        settings.rewrite_api_key.get_secret_value(),
        settings.rewrite_timeout_s,
    )
    return WithRules(model, metrics.rewrite_failures.inc)


def _sources(platform: PlatformSettings, settings: RetrievalSettings, stack: AsyncExitStack) -> GatewayFiles:
    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    url = platform.service_url("gateway")
    return GatewayFiles(transport, url, _tokens(platform), settings.max_document_bytes, settings.file_timeout_s)


def _extractor(settings: RetrievalSettings) -> ProcessExtractor:
    limits = ParseLimits(
        settings.max_document_bytes, settings.parse_max_pages, settings.parse_cpu_s, settings.parse_memory_mb
    )
    return ProcessExtractor(limits, settings.parse_at_once)


def _tokens(platform: PlatformSettings) -> ServiceTokens:
    return ServiceTokens(platform.service_secret.get_secret_value(), SERVICE)


def _rounds(settings: RetrievalSettings, metrics: Metrics, work: Callable[[], Awaitable[bool]]) -> Rounds:
    async def sweep() -> bool:
        try:
            return await work()
        except AWAY as exc:
            metrics.sweep_failures.inc()
            _log.warning("the sweep ended early: %s", exc.detail)
            return True

    return Rounds(sweep, settings.sweep_s)


async def _send(sweep: Sweep, jobs: IngestJobs, metrics: Metrics) -> bool:
    waiting = await jobs.waiting()
    metrics.waiting.set(waiting)
    if waiting:
        metrics.resent.inc(await sweep.send_due())
    return waiting > 0


async def _restem(sweep: Sweep, languages: LanguageTeller, pause_s: float) -> None:
    while True:
        try:
            if not await sweep.restem(languages):
                return
        except AWAY as exc:
            _log.warning("documents of older releases wait: %s", exc.detail)
        await asyncio.sleep(pause_s)


async def _remove(
    sweep: Sweep, vectors: OwnedVectorStore, metrics: Metrics, jobs: IngestJobs, activity: Activity, clock: Clock
) -> bool:
    await jobs.expire(activity.take(), clock.now())
    removed = await sweep.remove_points()
    metrics.points.set(await vectors.total())
    await vectors.tidy()
    return removed > 0


def _free_when_idle(embedder: MiniLmEmbedder) -> Callable[[], Awaitable[None]]:
    async def loop() -> None:
        while True:
            await asyncio.sleep(15)
            embedder.free_if_idle()

    return loop
