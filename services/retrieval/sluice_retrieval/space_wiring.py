"""Which embedding models there are, where the vectors of each lie, and which of them answer now."""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from sluice.clients.http import AiohttpTransport, ServiceClient
from sluice.clock import Clock
from sluice.minilm.files import find_model_files
from sluice.settings import PlatformSettings
from sluice_retrieval.adapters.joined import JoinedEmbedder, Joining
from sluice_retrieval.adapters.minilm import DIMENSIONS, MiniLmEmbedder
from sluice_retrieval.adapters.openai_embedder import Endpoint, OpenAIEmbedder
from sluice_retrieval.adapters.remote import RemoteVectorStore
from sluice_retrieval.adapters.vector_cache import CachedEmbedder, VectorCache
from sluice_retrieval.domain.embedding import Embedder
from sluice_retrieval.domain.image_vectors import ImageEmbedder
from sluice_retrieval.domain.points import OwnedVectorStore, VectorStore
from sluice_retrieval.domain.spaces import BUILT_IN, Models, Space, Spaces, slug, space_of
from sluice_retrieval.metrics import Metrics
from sluice_retrieval.settings import EmbeddingEndpoint, RetrievalSettings
from sluice_retrieval.store.image_vectors import ImageVectorRecords
from sluice_retrieval.store.spaces import SpaceRecords

_log = logging.getLogger(__name__)
_GRACE_S = 600.0
_FIRST = space_of(BUILT_IN, DIMENSIONS)
Drop = Callable[[str], Awaitable[None]]


def built_in(settings: RetrievalSettings, metrics: Metrics, idle_s: float) -> MiniLmEmbedder:
    """Return the model inside a wheel; it is read at first use."""
    return MiniLmEmbedder(
        find_model_files(),
        metrics,
        threads=settings.embed_threads,
        batch_tokens=settings.embed_batch_tokens,
        idle_s=idle_s,
    )


def open_models(
    first: Embedder, platform: PlatformSettings, settings: RetrievalSettings, metrics: Metrics, stack: AsyncExitStack
) -> Models:
    """Return all models that are configured, `first` as the built-in one, with one cache of vectors before them."""
    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    found: dict[str, Embedder] = {BUILT_IN: first}
    for one in settings.embedding_models:
        model: Embedder = OpenAIEmbedder(transport, _endpoint(one), first.counter, metrics)
        if one.join > 1:
            joining = Joining(one.join, one.join_wait_ms / 1000, one.join_target_ms / 1000)
            model = JoinedEmbedder(model, joining, metrics)
        found[one.name] = model
    if settings.embed_cache_vectors:
        cache = VectorCache(platform.data_dir.absolute() / "embeddings.sqlite", settings.embed_cache_vectors)
        stack.callback(cache.close)
        found = {name: CachedEmbedder(one, cache, metrics.embed_cache) for name, one in found.items()}
    models = Models(found)
    stack.push_async_callback(models.close)
    return models


def _endpoint(one: EmbeddingEndpoint) -> Endpoint:
    return Endpoint(
        name=one.name,
        url=one.url,
        model=one.model or one.name,
        dimensions=one.dimensions,
        api_key=one.api_key.get_secret_value(),
        batch_size=one.batch_size,
        at_once=one.at_once,
        timeout_s=one.timeout_s,
        retries=one.retries,
        send_dimensions=one.send_dimensions,
        normalize=one.normalize,
    )


def open_image_embedder(settings: RetrievalSettings, stack: AsyncExitStack) -> ImageEmbedder | None:
    """Return the model that sees images, if one is configured."""
    if not settings.image_embedding_url:
        return None
    from sluice_retrieval.adapters.image_embedder import HttpImageEmbedder  # noqa: PLC0415 - only where one sees

    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    return HttpImageEmbedder(
        transport,
        settings.image_embedding_url,
        settings.image_embedding_model,
        settings.image_embedding_dimensions,
        settings.image_embedding_api,
        settings.image_embedding_api_key.get_secret_value(),
        settings.image_embedding_timeout_s,
    )


async def open_image_vectors(
    embedder: ImageEmbedder | None, records: ImageVectorRecords, spaces: Spaces[OwnedVectorStore], now: float
) -> None:
    """Say which model sees images from now on, and have those seen again whose vectors a power failure took."""
    await records.aim(None if embedder is None else embedder.space, now)
    if embedder is None:
        return
    counts = await (await spaces.of(embedder.space)).document_counts()
    if counts is not None and (lost := await records.unsee(embedder.space, counts)):
        _log.warning("%d images lack their vector in the index and are embedded again", lost)


def open_spaces(platform: PlatformSettings, settings: RetrievalSettings) -> tuple[Spaces[OwnedVectorStore], Drop]:
    """Return the vector stores of all spaces in this process or on a server, and what removes one for good."""
    # Only the chosen engine is imported: each takes tens of megabytes.
    if platform.qdrant_url:
        from sluice_retrieval.adapters.server import COLLECTION, ServerVectorStore, connect  # noqa: PLC0415 - only where Qdrant runs as a server

        url, key = platform.qdrant_url, settings.qdrant_api_key.get_secret_value() or None

        async def on_server(space: str) -> ServerVectorStore:
            return ServerVectorStore(connect(url, key), space, _named(COLLECTION, "_", space))

        async def dropped(space: str) -> None:
            store = await on_server(space)
            await store.drop()
            await store.close()

        return Spaces[OwnedVectorStore](on_server), dropped
    from sluice_retrieval.adapters.edge_rankings import EdgeRankings  # noqa: PLC0415 - only where Qdrant Edge is used

    folder = platform.data_dir.absolute()

    def place(space: str) -> Path:
        return folder / _named("vectors", "-", space)

    async def embedded(space: str) -> EdgeRankings:
        memory = settings.vector_memory_mb * 2**20
        return await EdgeRankings.open(place(space), space, settings.vector_graph_from, memory)

    async def removed(space: str) -> None:
        for folder in (place(space), place(space).with_name(f"{place(space).name}.ranked")):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    return Spaces[OwnedVectorStore](embedded), removed


def open_remote_spaces(client: ServiceClient) -> Spaces[VectorStore]:
    """Return the vector stores of all spaces as a worker reaches them in the embedded mode."""

    async def through_api(space: str) -> RemoteVectorStore:
        return RemoteVectorStore(client, space)

    return Spaces[VectorStore](through_api)


def _named(first: str, joint: str, space: str) -> str:
    # The built-in model's vectors stay where earlier releases have put them.
    return first if space == _FIRST else f"{first}{joint}{slug(space)}"


class Answering:
    """The space that searches are answered from, as the record last said; another process may switch it."""

    def __init__(
        self, records: SpaceRecords, spaces: Spaces[OwnedVectorStore], models: Models, clock: Clock, drop: Drop
    ) -> None:
        self._records = records
        self._spaces = spaces
        self._models = models
        self._clock = clock
        self._drop = drop
        self._now: Space | None = None

    @property
    def now(self) -> Space:
        """The space that answers."""
        if self._now is None:
            raise AssertionError("`begin` comes first")
        return self._now

    async def begin(self, wanted: str) -> None:
        """Say which model is wanted, and answer from the one that is there.

        Raises:
            DependencyUnavailable: the database is away, or the model that made the stored vectors is not configured.
        """
        await self._answer_from(await self._records.aim(wanted, self._clock.now()))

    async def look(self) -> bool:
        """Answer from the space that the record says; return whether a change is under way."""
        states = await self._records.ids_by_status()
        active = states.get("active", (self.now.id,))[0]
        if active != self.now.id:
            await self._answer_from(active)
            _log.info("searches are answered by the vectors of %s", active)
        return bool({"building", "retiring"} & set(states))

    async def round(self) -> bool:
        """Look, and remove what has not answered for ten minutes; return whether a change is under way."""
        changing = await self.look()
        for space in await self._records.forgotten(self._clock.now() - _GRACE_S):
            await self._spaces.forget(space)
            await self._drop(space)
        return changing

    async def _answer_from(self, space: str) -> None:
        self._now = Space(space, await self._spaces.of(space), self._models.of_space(space))
