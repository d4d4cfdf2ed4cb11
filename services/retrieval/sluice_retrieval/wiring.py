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
from sluice.contracts.searching import RerankMethod
from sluice.db import open_database
from sluice.errors import DependencyUnavailable
from sluice.health import Probe
from sluice.huge_pages import use_huge_pages
from sluice.ids import new_id
from sluice.jobs import open_job_service
from sluice.loops import Rounds, Supervisor
from sluice.minilm.files import find_model_files
from sluice.service import deps_of
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_retrieval.adapters.duck import DuckTables
from sluice_retrieval.adapters.gateway_files import GatewayFiles
from sluice_retrieval.adapters.languages import Languages
from sluice_retrieval.adapters.minilm import MiniLmEmbedder
from sluice_retrieval.adapters.queue import CeleryIngestQueue
from sluice_retrieval.domain.activity import Activity
from sluice_retrieval.domain.bm25 import Bm25Parameters
from sluice_retrieval.domain.dispatch import Dispatch
from sluice_retrieval.domain.embedding import Embedder
from sluice_retrieval.domain.errors import RerankerNotConfigured, RewriterNotConfigured
from sluice_retrieval.domain.extraction import Extractor, FileSource, Sizes
from sluice_retrieval.domain.fusion import Fusion
from sluice_retrieval.domain.image_vectors import ImageEmbedder, ImageIndexer
from sluice_retrieval.domain.ingest import AWAY, Ingestor
from sluice_retrieval.domain.moving import Mover
from sluice_retrieval.domain.openai import EmbeddingLimits
from sluice_retrieval.domain.points import OwnedVectorStore, VectorStore
from sluice_retrieval.domain.questions.understanding import LanguageTeller, Rewriter
from sluice_retrieval.domain.recordings import Listener
from sluice_retrieval.domain.rerank import Reranker
from sluice_retrieval.domain.spaces import EverySpace, Models, Spaces
from sluice_retrieval.domain.sweep import Sweep
from sluice_retrieval.domain.tables import TableEngine
from sluice_retrieval.extractor_wiring import open_readers
from sluice_retrieval.judges_wiring import open_rerankers, open_rewriter
from sluice_retrieval.metrics import IngestMetrics, Metrics, MoveMetrics
from sluice_retrieval.settings import RetrievalSettings
from sluice_retrieval.space_wiring import (
    Answering,
    built_in,
    open_image_embedder,
    open_image_vectors,
    open_models,
    open_remote_spaces,
    open_spaces,
)
from sluice_retrieval.store.files import Files
from sluice_retrieval.store.image_vectors import ImageVectorRecords
from sluice_retrieval.store.images import Images
from sluice_retrieval.store.jobs import IngestJobs
from sluice_retrieval.store.library import Library
from sluice_retrieval.store.memories import Memories
from sluice_retrieval.store.recordings import KeptRecordings
from sluice_retrieval.store.spaces import SpaceRecords

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
    memories: Memories
    files: Files
    images: Images
    sources: FileSource
    activity: Activity
    spaces: Spaces[OwnedVectorStore]
    space_records: SpaceRecords
    answering: Answering
    models: Models
    extractor: Extractor
    room: asyncio.Semaphore
    """Recordings that are in memory beside each other, each twice its size; others wait on the disk."""
    dispatch: Dispatch
    sending: Rounds
    removing: Rounds
    fusion: Fusion
    rerankers: Mapping[RerankMethod, Reranker]
    model_rewriter: Rewriter | None
    languages: LanguageTeller
    tables: TableEngine
    image_embedder: ImageEmbedder | None
    probes: Mapping[str, Probe]

    @property
    def vectors(self) -> OwnedVectorStore:
        """The vectors that answer now."""
        return self.answering.now.vectors

    @property
    def embedder(self) -> Embedder:
        """The model that made the vectors that answer now."""
        return self.answering.now.embedder

    async def vectors_of(self, space: str) -> OwnedVectorStore:
        """Return the vectors of a space; of the one that answers now for none."""
        return await self.spaces.of(space) if space else self.vectors

    @property
    def sizes(self) -> Sizes:
        """How many bytes files may have."""
        return _sizes(self.settings)

    @property
    def searched_by(self) -> str:
        """Names the models and settings that rank in all stores: with others a search finds something else."""
        of = self.settings
        ranking = (of.hybrid_rrf_k, of.hybrid_bm25_weight, of.rerank_url, of.rerank_model)
        return f"{self.answering.now.id} {ranking} {of.rewrite_url} {of.rewrite_model} {of.image_embedding_model}"

    def limits(self, model: str) -> EmbeddingLimits:
        """Return what a request to an embedding model may ask for.

        Raises:
            EmbeddingModelUnknown: there is none of this name.
        """
        of = self.settings
        return EmbeddingLimits(model, self.models.named(model).dimensions, of.embed_max_inputs, of.embed_max_tokens)

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
        spaces, drop = open_spaces(platform, settings)
        stack.push_async_callback(spaces.close)
        models = open_models(built_in(settings, metrics, idle_s=0), platform, settings, metrics, stack)
        jobs, records = IngestJobs(service.database, settings.max_attempts), SpaceRecords(service.database)
        answering = Answering(records, spaces, models, service.clock, drop)
        await answering.begin(models.space(settings.embedding_model))
        image_embedder = open_image_embedder(settings, stack)
        await open_image_vectors(image_embedder, ImageVectorRecords(service.database), spaces, service.clock.now())
        removed_from = EverySpace(records, spaces)
        dispatch = Dispatch(CeleryIngestQueue(service.sender), jobs, service.clock, settings.resend_s)
        sweep = Sweep(jobs, dispatch, removed_from, service.clock)

        settled = asyncio.Event()

        async def embedder_is_loaded() -> None:
            if not settled.is_set() or not answering.now.embedder.loaded():
                raise DependencyUnavailable("The embedding model is still being read.")

        async def vectors_answer() -> None:
            await answering.now.vectors.ping()

        async def load_model() -> None:
            await answering.now.embedder.load()
            if settings.huge_pages and not settled.is_set():
                _log.info("%d MiB lie in huge pages", await asyncio.to_thread(use_huge_pages) >> 20)
            settled.set()

        activity, memories = Activity(), Memories(service.database)
        rerankers = await open_rerankers(settings, metrics, stack)
        await _check_index(answering, spaces, records, jobs, service.clock)
        sending = _rounds(settings, metrics, lambda: _send(sweep, jobs, metrics))
        removing = _rounds(
            settings, metrics, lambda: _remove(sweep, spaces, metrics, (jobs, memories), activity, service.clock)
        )
        stack.push_async_callback(service.loops.close)  # before the vector store and the model that they use
        languages = Languages()
        service.loops.start("load-model", load_model)
        service.loops.start("embedding-spaces", _rounds(settings, metrics, answering.round).run)
        service.loops.start("restem", lambda: _restem(sweep, languages, settings.sweep_s))
        service.loops.start("tell-workers", dispatch.run)
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
            memories=memories,
            files=Files(service.database),
            images=Images(service.database),
            sources=_sources(platform, settings, stack),
            activity=activity,
            spaces=spaces,
            space_records=records,
            answering=answering,
            models=models,
            extractor=open_readers(settings, metrics, stack).extractor,
            room=asyncio.Semaphore(settings.parse_at_once),
            dispatch=dispatch,
            sending=sending,
            removing=removing,
            fusion=Fusion(settings.hybrid_rrf_k, settings.hybrid_bm25_weight),
            rerankers=rerankers,
            model_rewriter=open_rewriter(settings, metrics, stack),
            languages=languages,
            image_embedder=image_embedder,
            tables=DuckTables(settings.table_query_memory_mb, settings.table_query_timeout_s),
            probes={
                **service.probes,
                "vector_store": vectors_answer,
                "embedder": embedder_is_loaded,
            },
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
        spaces: Spaces[OwnedVectorStore] | Spaces[VectorStore]
        if platform.qdrant_url:
            spaces = open_spaces(platform, settings)[0]
        else:
            transport = AiohttpTransport()
            stack.push_async_callback(transport.close)
            url = platform.service_url(SERVICE)
            client = ServiceClient(SERVICE, url, _tokens(platform), transport, tracing, subject=WORKER_SUBJECT)
            spaces = open_remote_spaces(client)
        stack.push_async_callback(spaces.close)
        supervisor = Supervisor(registry)
        first: Embedder
        if other_embedder is None:
            first = built_in(settings, metrics, idle_s=settings.worker_model_idle_s)
            supervisor.start("free-model", _free_when_idle(first))
        else:
            first = other_embedder
        models = open_models(first, platform, settings, metrics, stack)
        records = SpaceRecords(database)
        mover = Mover(records, spaces, models, clock, MoveMetrics(metrics), new_id("worker"), settings.lease_s)
        supervisor.start("move-documents", Rounds(_patiently(mover.round), settings.sweep_s).run)
        if (image_embedder := open_image_embedder(settings, stack)) is not None:
            images = ImageVectorRecords(database)
            indexer = ImageIndexer(images, spaces, image_embedder, clock, new_id("worker"), settings.lease_s)
            supervisor.start("see-images", Rounds(_patiently(indexer.round), settings.sweep_s).run)
        stack.push_async_callback(supervisor.close)

        async def answered() -> None:
            for space in (await records.ids_by_status()).get("active", ()):
                await (await spaces.of(space)).ping()

        readers = open_readers(settings, metrics, stack)
        yield WorkerDeps(
            ingestor=Ingestor(
                record=IngestJobs(database, settings.max_attempts),
                spaces=spaces,
                models=models,
                bm25=Bm25Parameters(settings.bm25_k1, settings.bm25_b),
                clock=clock,
                observer=IngestMetrics(metrics),
                lease_s=settings.lease_s,
                files=_sources(platform, settings, stack),
                extractor=readers.extractor,
                languages=Languages(),
                listener=Listener(readers.recordings, KeptRecordings(database)),
            ),
            registry=registry,
            probes={"sql": database.ping, "vector_store": answered},
        )


def check_config(platform: PlatformSettings, settings: RetrievalSettings) -> None:
    """Raise, with a sentence, if the service could not start: the model's wheels are looked for."""
    del platform, settings
    find_model_files()


async def _check_index(
    answering: Answering, spaces: Spaces[OwnedVectorStore], records: SpaceRecords, jobs: IngestJobs, clock: Clock
) -> None:
    """Bring back what a power failure took from the index."""
    counts = await answering.now.vectors.document_counts()
    if counts is not None and (reopened := await jobs.reopen_incomplete(counts, clock.now())):
        _log.warning("%d documents lack chunks in the index and are ingested again", reopened)
    for space in (await records.ids_by_status()).get("building", ()):
        counts = await (await spaces.of(space)).document_counts()
        if counts is not None and (lost := await records.unmove(space, counts)):
            _log.warning("%d documents lack chunks in %s and are embedded again", lost, space)


def _patiently(work: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
    async def tried() -> bool:
        try:
            return await work()
        except AWAY as exc:
            _log.warning("documents wait to be embedded by the new model: %s", exc.detail)
            return True

    return tried


def _sources(platform: PlatformSettings, settings: RetrievalSettings, stack: AsyncExitStack) -> GatewayFiles:
    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    url = platform.service_url("gateway")
    return GatewayFiles(transport, url, _tokens(platform), _sizes(settings), settings.file_timeout_s)


def _sizes(settings: RetrievalSettings) -> Sizes:
    return Sizes(settings.max_recording_bytes, settings.max_document_bytes)


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
    sweep: Sweep,
    spaces: Spaces[OwnedVectorStore],
    metrics: Metrics,
    records: tuple[IngestJobs, Memories],
    activity: Activity,
    clock: Clock,
) -> bool:
    jobs, memories = records
    await jobs.expire(activity.take(), clock.now())
    await memories.forget_expired(clock.now())
    removed = await sweep.remove_points()
    opened = spaces.opened()
    metrics.points.set(sum([await vectors.total() for vectors in opened]))
    for vectors in opened:
        await vectors.tidy()
    return removed > 0


def _free_when_idle(embedder: MiniLmEmbedder) -> Callable[[], Awaitable[None]]:
    async def loop() -> None:
        while True:
            await asyncio.sleep(15)
            embedder.free_if_idle()

    return loop
