"""Search and context."""

from fastapi import APIRouter

from sluice.auth import CallerDep
from sluice.contracts.enhanced import EnhancedContext, RetrievedInfo
from sluice.contracts.memories import MemorySearch
from sluice.contracts.questions import QueryUnderstanding
from sluice.contracts.retrieval import (
    ContextReply,
    ContextRequest,
    Explanation,
    MatchedChunk,
    RankedScore,
    SearchHit,
    SearchReply,
)
from sluice.contracts.searching import Query, SearchRequest
from sluice.contracts.vector_files import TextPart
from sluice.contracts.vector_ranking import VectorMetric
from sluice.errors import DependencyUnavailable, Unauthorized, problem_responses
from sluice_retrieval.domain.context import TIER_KEY, ContextShape, assemble, info_type
from sluice_retrieval.domain.errors import RerankerNotConfigured, RewriterNotConfigured, StoreExpired, StoreNotFound
from sluice_retrieval.domain.library import DocumentDetails
from sluice_retrieval.domain.memory_blocks import MemoryBlock, memory_block
from sluice_retrieval.domain.metrics import METRICS, distance_of
from sluice_retrieval.domain.recordings import time_of
from sluice_retrieval.domain.search import Hit, Place
from sluice_retrieval.domain.tokens import count_tokens
from sluice_retrieval.domain.tool_blocks import ToolBlocks, tool_blocks
from sluice_retrieval.domain.versions import version_of
from sluice_retrieval.routes.finding import Found, find_hits
from sluice_retrieval.routes.images import thumbnail_of
from sluice_retrieval.routes.remembering import remembered
from sluice_retrieval.routes.straight import StraightRoute
from sluice_retrieval.store.memories import store_of
from sluice_retrieval.wiring import Deps, DepsDep

_TRIES = 3
_AS_IT_COMES = QueryUnderstanding()

_MEMORY_SHARE = 4

router = APIRouter(
    tags=["search"],
    route_class=StraightRoute,
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
    found = await find_hits(deps, caller.tenant, (store_id,), body)
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
    if body.missing_stores is None:
        return await _context(deps, caller.tenant, body)
    try:
        return await _context(deps, caller.tenant, body)
    except (StoreNotFound, StoreExpired):
        return await _without_missing(deps, caller.tenant, body)


async def _without_missing(deps: Deps, tenant: str, body: ContextRequest) -> ContextReply:
    there = await deps.library.living(tenant, body.vector_store_ids, deps.clock.now())
    left = tuple(one for one in body.vector_store_ids if one in there)
    reply = ContextReply(text="", citations=())
    if left or body.memory is not None:
        reply = await _context(deps, tenant, body.model_copy(update={"vector_store_ids": left}))
    missing = tuple(one for one in body.vector_store_ids if one not in there)
    return reply.model_copy(update={"missing_store_ids": missing})


async def _context(deps: Deps, tenant: str, body: ContextRequest) -> ContextReply:
    stores = await _sources(deps, tenant, body)
    version = await _version(deps, tenant, stores, body) if stores else None
    if version is not None:
        return ContextReply(text="", citations=(), version=version, unchanged=True)
    now = ""
    if stores != body.vector_store_ids:  # what is remembered counts too, as it was before it is looked for
        scope = await deps.library.scope(tenant, stores, None, deps.clock.now())
        now = version_of(scope.versions, deps.searched_by)
    block = await _recalled(deps, tenant, body) if now else MemoryBlock("", 0, ())
    reply = ContextReply(text="", citations=())
    if body.vector_store_ids:
        reply = await _evidence(deps, tenant, body, block.tokens)
    return reply.model_copy(
        update={
            "text": "\n\n".join(part for part in (reply.text, block.text) if part),
            "tokens": reply.tokens + block.tokens,
            "memories": block.given,
            "version": now or reply.version,
        }
    )


async def _sources(deps: Deps, tenant: str, body: ContextRequest) -> tuple[str, ...]:
    if body.memory is None or not await deps.memories.has_store(tenant):
        return body.vector_store_ids
    return (*body.vector_store_ids, store_of(tenant))


async def _recalled(deps: Deps, tenant: str, body: ContextRequest) -> MemoryBlock:
    asked = body.memory
    if asked is None or asked.user is None:
        return MemoryBlock("", 0, ())
    wanted = MemorySearch(user=asked.user, query=body.query, kinds=asked.kinds, top_k=asked.top_k)
    found = await remembered(deps, tenant, wanted)
    room = body.budget_tokens // _MEMORY_SHARE if body.vector_store_ids else body.budget_tokens
    return memory_block(found, room, deps.embedder.counter)


async def _evidence(deps: Deps, tenant: str, body: ContextRequest, taken: int) -> ContextReply:
    found = await find_hits(deps, tenant, body.vector_store_ids, body)
    tiers = {one: str(known.attributes.get(TIER_KEY, "")) for one, known in found.details.items()}
    shape = ContextShape(body.placement, body.template)
    tools = tool_blocks(body.tool_outputs, body.budget_tokens, deps.embedder.counter)
    figure = "" if found.computed is None else f"Computed from {found.computed.source}:\n{found.computed.statement}"
    added = tools.tokens + count_tokens(figure, deps.embedder.counter)
    reply = assemble(found.hits, max(16, body.budget_tokens - added - taken), shape, deps.embedder.counter, tiers)
    told = {
        "text": "\n\n".join(part for part in (reply.text, figure, tools.text) if part),
        "tokens": reply.tokens + added,
        "citations": tuple(
            one.model_copy(
                update={
                    "file_id": found.details[one.document_id].file_id or one.document_id,
                    "attributes": found.details[one.document_id].attributes,
                }
            )
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
    body: ContextRequest, reply: ContextReply, tools: ToolBlocks, found: Found, tokens: int
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
        matched=tuple(MatchedChunk(**one._asdict()) for one in hit.matched),
        thumbnail=thumbnail_of(passage.store_id, passage.document_id)
        if details.media_type.startswith("image/")
        else None,
        time=time_of(passage.heading),
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
        image=_ranked(hit.places.get("image")),
        joined=RankedScore(rank=hit.joined.rank, score=hit.joined.score),
        reranked=_ranked(hit.reranked),
        reranker=hit.reranker,
        likeness=hit.likeness,
    )


def _place_name(metric: VectorMetric) -> str:
    return "dense" if metric == "cosine" else metric


def _ranked(place: Place | None) -> RankedScore | None:
    return None if place is None else RankedScore(rank=place.rank, score=place.score)
