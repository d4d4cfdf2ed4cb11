"""Finding: what a question is made of, and the hits that all its texts have."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sluice.contracts.questions import QueryUnderstanding, Understood
from sluice.contracts.retrieval import ContentQuery, DegradedPart
from sluice.contracts.searching import ParentExpansion, Query
from sluice.contracts.tables import ComputedFigure
from sluice.telemetry import names
from sluice_retrieval.domain.asking import Engine, find, prepare, terms_to_add, with_terms
from sluice_retrieval.domain.documents import MARKDOWN
from sluice_retrieval.domain.embedding import BegunVectors, OfTenant
from sluice_retrieval.domain.errors import DocumentNotFound, StoreExpired, StoreNotFound
from sluice_retrieval.domain.image_vectors import RANKING, WithImages
from sluice_retrieval.domain.images import among
from sluice_retrieval.domain.ingest import AWAY
from sluice_retrieval.domain.library import DocumentDetails
from sluice_retrieval.domain.parents import Around, expanded
from sluice_retrieval.domain.points import Dense, Searcher
from sluice_retrieval.domain.questions.understanding import Reading, understand
from sluice_retrieval.domain.rerank import FEATURES
from sluice_retrieval.domain.search import Hit
from sluice_retrieval.domain.versions import version_of
from sluice_retrieval.routes.figures import figure_of
from sluice_retrieval.wiring import Deps

_log = logging.getLogger(__name__)
_TRIES = 3
_AS_IT_COMES = QueryUnderstanding()


class Found(NamedTuple):
    """What a search found, and what is told of it."""

    hits: list[Hit]
    details: dict[str, DocumentDetails]
    understood: Understood
    version: str
    computed: ComputedFigure | None
    degraded: tuple[DegradedPart, ...]


async def find_hits(deps: Deps, tenant: str, store_ids: tuple[str, ...], query: Query) -> Found:
    """Return the hits, what is known of their documents, and what was made of the question."""
    started, now = time.perf_counter(), deps.clock.now()
    filters = among(query.kinds, query.filters)
    space = deps.answering.now  # vectors and model that belong together, to the end of this search
    engine = Engine(space.vectors, deps.fusion, deps.reranker(query.rerank))
    of_search = {"sluice.search.mode": query.mode, names.TENANT: tenant}
    async with BegunVectors(OfTenant(space.embedder, tenant)) as begun:
        with deps.tracing.span("search", attributes=of_search) as span:
            if query.mode != "bm25" and deps.activity.knows(tenant, store_ids):  # no model reads for a 404
                begun.begin(query.query)  # whatever is made of the question, it is searched for as it came, too
                await asyncio.sleep(0)  # begun before SQL is asked, whose thread would have the interpreter first
            try:
                scope = await deps.library.scope(tenant, store_ids, filters, now)
            except (StoreNotFound, StoreExpired):
                deps.activity.missed(tenant, store_ids)
                raise
            deps.activity.found(tenant, store_ids)
            version = version_of(scope.versions, deps.searched_by)  # before the search: what is found is never older
            options = query.understand or scope.understand or _AS_IT_COMES
            reading = await understand(query, options, deps.rewriter(options.rewrite), deps.languages)
            prepared = prepare(query, reading, begun, scope)
            looks = await _looks(deps, query, reading)
            if looks.probe is not None and looks.vectors is not None:
                prepared[0].probes[RANKING] = looks.probe
                engine = engine._replace(vectors=WithImages(space.vectors, looks.vectors))
            terms: tuple[str, ...] = ()
            if reading.wants_terms and query.mode != "dense":
                terms = await terms_to_add(prepared, scope, engine)
                prepared = with_terms(prepared, reading, terms, begun, scope)
            for attempt in range(_TRIES):
                if attempt:
                    scope = await deps.library.scope(tenant, store_ids, filters, now)
                found = await find(prepared, scope, engine)
                ready = await deps.library.details(tenant, [hit.passage.document_id for hit in found])
                if all(hit.passage.document_id in ready for hit in found):
                    break  # otherwise a document was begun, replaced or deleted since the scope was read
            found = [hit for hit in found if hit.passage.document_id in ready]
            span.set_attribute(names.CHUNKS, len(found))
    for store_id in store_ids:
        deps.activity.touch(store_id, now)
    deps.metrics.search_seconds.labels(query.mode).observe(time.perf_counter() - started)
    told = reading.told(terms)
    computed = await figure_of(deps, tenant, told.query, found) if options.compute else None
    degraded = _degraded(query, reading, found, blind=looks.away)
    if query.parent is not None:
        found = await _in_parents(deps, tenant, found, ready, query.parent)
    return Found(found, ready, told, version, computed, degraded)


async def _in_parents(
    deps: Deps, tenant: str, hits: Sequence[Hit], details: Mapping[str, DocumentDetails], wish: ParentExpansion
) -> list[Hit]:
    """Return the hits with what surrounds them; the text of an image is whole already."""

    async def read(hit: Hit, start: int, length: int) -> Around | None:
        passage = hit.passage
        if details[passage.document_id].media_type.startswith("image/"):
            return None
        part = ContentQuery(start=start, length=length)
        try:
            found = await deps.library.content(tenant, passage.store_id, passage.document_id, part)
        except DocumentNotFound:  # deleted just now
            return None
        return Around(found.text, found.start, found.end >= found.length)

    headed = frozenset(one for one, known in details.items() if known.media_type == MARKDOWN)
    return await expanded(hits, wish, read, deps.embedder.counter, headed)


class _Looks(NamedTuple):
    """How images are looked for by what they show; nothing where they are not."""

    probe: Dense | None = None
    vectors: Searcher | None = None
    away: bool = False


async def _looks(deps: Deps, query: Query, reading: Reading) -> _Looks:
    """Return how to look for images: for questions that ask for a picture, or for images only.

    A ranking by looks has a first one for any question. So it is not asked where texts are wanted, nor where hits are to differ, since
    looks and texts cannot be compared.
    """
    wanted = "image" in query.kinds and (reading.modality == "image" or query.kinds == ("image",))
    if deps.image_embedder is None or not wanted or query.mode == "bm25" or query.diversity:
        return _Looks()
    try:
        vector = await deps.image_embedder.of_text(reading.question)
    except AWAY as exc:
        _log.warning("images are looked for by their captions only: %s", exc.detail)
        return _Looks(away=True)
    return _Looks(Dense(vector, images=True), await deps.spaces.of(deps.image_embedder.space))


def _degraded(query: Query, reading: Reading, hits: Sequence[Hit], *, blind: bool) -> tuple[DegradedPart, ...]:
    ranked_without = query.rerank == "model" and any(hit.reranker == FEATURES for hit in hits)
    away: dict[DegradedPart, bool] = {
        "rewriter": reading.fell_back,
        "reranker": ranked_without,
        "image_embedder": blind,
    }
    return tuple(part for part, is_away in away.items() if is_away)
