"""Search and context."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from fastapi import APIRouter

from sluice.auth import CallerDep
from sluice.contracts.enhanced import EnhancedContext, RetrievedInfo
from sluice.contracts.questions import QueryUnderstanding, Understood
from sluice.contracts.retrieval import (
    ContextReply,
    ContextRequest,
    DegradedPart,
    Explanation,
    Query,
    RankedScore,
    SearchHit,
    SearchReply,
    SearchRequest,
)
from sluice.contracts.tables import ComputedFigure
from sluice.contracts.vector_files import TextPart
from sluice.contracts.vector_ranking import VectorMetric
from sluice.errors import DependencyUnavailable, Unauthorized, problem_responses
from sluice.telemetry import names
from sluice_retrieval.domain.asking import Engine, find, prepare, terms_to_add, with_terms
from sluice_retrieval.domain.context import TIER_KEY, ContextShape, assemble, info_type
from sluice_retrieval.domain.embedding import OfTenant
from sluice_retrieval.domain.errors import RerankerNotConfigured, RewriterNotConfigured, StoreNotFound
from sluice_retrieval.domain.images import among
from sluice_retrieval.domain.library import DocumentDetails
from sluice_retrieval.domain.metrics import METRICS, distance_of
from sluice_retrieval.domain.questions.understanding import Reading, understand
from sluice_retrieval.domain.rerank import FEATURES
from sluice_retrieval.domain.search import Hit, Place
from sluice_retrieval.domain.tokens import count_tokens
from sluice_retrieval.domain.tool_blocks import ToolBlocks, tool_blocks
from sluice_retrieval.domain.versions import version_of
from sluice_retrieval.routes.figures import figure_of
from sluice_retrieval.routes.images import thumbnail_of
from sluice_retrieval.wiring import Deps, DepsDep

_TRIES = 3
_AS_IT_COMES = QueryUnderstanding()

router = APIRouter(
    tags=["search"],
    responses=problem_responses(
        Unauthorized, StoreNotFound, RerankerNotConfigured, RewriterNotConfigured, DependencyUnavailable
    ),
)


@router.post("/v1/vector_stores/{store_id}/search", summary="Search a vector store")
async def search_store(store_id: str, body: SearchRequest, caller: CallerDep, deps: DepsDep) -> SearchReply:
    """Return the chunks that match best; `hybrid` joins BM25 and dense search.

    `filters` choose documents by their metadata, `diversity` keeps hits from repeating each other, `understand` says what
    is made of the question first, and `explain` says how every hit came to its place.
    """
    version = await _version(deps, caller.tenant, (store_id,), body)
    if version is not None:
        return SearchReply(mode=body.mode, data=(), version=version, unchanged=True)
    found = await _find(deps, caller.tenant, (store_id,), body)
    hits = (_hit(hit, found.details[hit.passage.document_id], explain=body.explain) for hit in found.hits)
    queries = tuple(one.text for one in found.understood.queries)
    return SearchReply(
        mode=body.mode,
        data=tuple(hits),
        search_query=queries,
        understood=found.understood,
        version=found.version,
        computed=found.computed,
        degraded=found.degraded,
    )


@router.post("/v1/context", summary="Evidence for a question")
async def context(body: ContextRequest, caller: CallerDep, deps: DepsDep) -> ContextReply:
    """Return a block of numbered evidence out of several stores, within a budget of tokens, and what it cites.

    Documents whose metadata say `context_tier: essential` come first and are dropped last; then `task` (as without a word),
    `background` and `edge`.
    """
    version = await _version(deps, caller.tenant, body.vector_store_ids, body)
    if version is not None:
        return ContextReply(text="", citations=(), version=version, unchanged=True)
    found = await _find(deps, caller.tenant, body.vector_store_ids, body)
    tiers = {one: str(known.attributes.get(TIER_KEY, "")) for one, known in found.details.items()}
    shape = ContextShape(body.placement, body.template)
    tools = tool_blocks(body.tool_outputs, body.budget_tokens, deps.embedder.counter)
    figure = "" if found.computed is None else f"Computed from {found.computed.source}:\n{found.computed.statement}"
    added = tools.tokens + count_tokens(figure, deps.embedder.counter)
    reply = assemble(found.hits, max(16, body.budget_tokens - added), shape, deps.embedder.counter, tiers)
    told = {
        "text": "\n\n".join(part for part in (reply.text, figure, tools.text) if part),
        "tokens": reply.tokens + added,
        "citations": tuple(
            one.model_copy(update={"file_id": found.details[one.document_id].file_id or one.document_id})
            for one in reply.citations
        ),
        "understood": found.understood,
        "version": found.version,
        "computed": found.computed,
        "degraded": found.degraded,
    }
    if body.enhanced:
        told["enhanced"] = _enhanced(body, reply, tools, found, reply.tokens + added)
    return reply.model_copy(update=told)


def _enhanced(
    body: ContextRequest, reply: ContextReply, tools: ToolBlocks, found: "_Found", tokens: int
) -> EnhancedContext:
    return EnhancedContext(
        original_query=body.query,
        retrieved_info=tuple(
            RetrievedInfo(
                type=info_type(one.source),
                index=one.index,
                source=one.source,
                heading=one.heading,
                content=one.quote or "",
                score=one.score,
            )
            for one in reply.citations
        ),
        tool_outputs=tools.given,
        metadata={
            "queries": [one.text for one in found.understood.queries],
            "tokens": tokens,
            "budget_tokens": body.budget_tokens,
            "left_out": reply.left_out,
            "vector_store_ids": list(body.vector_store_ids),
            "version": found.version,
        },
    )


class _Found(NamedTuple):
    hits: list[Hit]
    details: dict[str, DocumentDetails]
    understood: Understood
    version: str
    computed: ComputedFigure | None
    degraded: tuple[DegradedPart, ...]


async def _version(deps: Deps, tenant: str, store_ids: tuple[str, ...], query: Query) -> str | None:
    """Return the version that the caller knows if it still holds: what was found then would be found again."""
    if query.known_version is None:
        return None
    now = deps.clock.now()
    scope = await deps.library.scope(tenant, store_ids, None, now)
    if version_of(scope.versions, deps.searched_by) != query.known_version:
        return None
    for store_id in store_ids:
        deps.activity.touch(store_id, now)
    return query.known_version


async def _find(deps: Deps, tenant: str, store_ids: tuple[str, ...], query: Query) -> _Found:
    """Return the hits, what is known of their documents, and what was made of the question."""
    started, now = time.perf_counter(), deps.clock.now()
    filters = among(query.kinds, query.filters)
    with deps.tracing.span("search", attributes={"sluice.search.mode": query.mode, names.TENANT: tenant}) as span:
        space = deps.answering.now  # vectors and model that belong together, to the end of this search
        embedder = OfTenant(space.embedder, tenant)
        engine = Engine(space.vectors, embedder, deps.fusion, deps.reranker(query.rerank))
        scope = await deps.library.scope(tenant, store_ids, filters, now)
        version = version_of(scope.versions, deps.searched_by)  # before the search: what is found is never older
        options = query.understand or scope.understand or _AS_IT_COMES
        reading = await understand(query, options, deps.rewriter(options.rewrite), deps.languages)
        prepared = await prepare(query, reading, embedder, scope)
        terms: tuple[str, ...] = ()
        if reading.wants_terms and query.mode != "dense":
            terms = await terms_to_add(prepared, scope, engine)
            prepared = await with_terms(prepared, reading, terms, embedder, scope)
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
    return _Found(found, ready, told, version, computed, _degraded(query, reading, found))


def _degraded(query: Query, reading: Reading, hits: Sequence[Hit]) -> tuple[DegradedPart, ...]:
    ranked_without = query.rerank == "model" and any(hit.reranker == FEATURES for hit in hits)
    away: dict[DegradedPart, bool] = {"rewriter": reading.fell_back, "reranker": ranked_without}
    return tuple(part for part, is_away in away.items() if is_away)


def _hit(hit: Hit, details: DocumentDetails, *, explain: bool) -> SearchHit:
    passage = hit.passage
    return SearchHit(
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        vector_store_id=passage.store_id,
        source=passage.source,
        heading=passage.heading,
        text=passage.text,
        score=hit.score,
        start=passage.start,
        end=passage.end,
        metadata=details.attributes,
        explanation=_explanation(hit) if explain else None,
        file_id=details.file_id or passage.document_id,
        filename=passage.source,
        attributes=details.attributes,
        content=(TextPart(text=passage.text),),
        thumbnail=thumbnail_of(passage.store_id, passage.document_id)
        if details.media_type.startswith("image/")
        else None,
    )


def _explanation(hit: Hit) -> Explanation:
    metric = next((one for one in METRICS if _place_name(one) in hit.places), None)
    dense = None if metric is None else hit.places[_place_name(metric)]
    return Explanation(
        dense=_ranked(dense),
        metric=metric,
        distance=distance_of(dense.score) if dense is not None and metric == "euclidean" else None,
        bm25=_ranked(hit.places.get("bm25")),
        tfidf=_ranked(hit.places.get("tfidf")),
        joined=RankedScore(rank=hit.joined.rank, score=hit.joined.score),
        reranked=_ranked(hit.reranked),
        reranker=hit.reranker,
        likeness=hit.likeness,
    )


def _place_name(metric: VectorMetric) -> str:
    return "dense" if metric == "cosine" else metric


def _ranked(place: Place | None) -> RankedScore | None:
    return None if place is None else RankedScore(rank=place.rank, score=place.score)
