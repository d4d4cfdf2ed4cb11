"""Search and context."""

import time

from fastapi import APIRouter

from sluice.auth import CallerDep
from sluice.contracts.retrieval import ContextReply, ContextRequest, SearchHit, SearchMode, SearchReply, SearchRequest
from sluice.errors import DependencyUnavailable, Unauthorized, problem_responses
from sluice.telemetry import names
from sluice_retrieval.domain.context import assemble
from sluice_retrieval.domain.errors import StoreNotFound
from sluice_retrieval.domain.points import Scored
from sluice_retrieval.domain.search import search
from sluice_retrieval.wiring import Deps, DepsDep

router = APIRouter(tags=["search"], responses=problem_responses(Unauthorized, StoreNotFound, DependencyUnavailable))


@router.post("/v1/vector_stores/{store_id}/search", summary="Search a vector store")
async def search_store(store_id: str, body: SearchRequest, caller: CallerDep, deps: DepsDep) -> SearchReply:
    """Return the chunks that match best; `hybrid` joins BM25 and dense search by reciprocal rank fusion."""
    found = await _find(deps, caller.tenant, (store_id,), body.query, body.top_k, body.mode)
    return SearchReply(mode=body.mode, data=tuple(_hit(scored) for scored in found))


@router.post("/v1/context", summary="Evidence for a question")
async def context(body: ContextRequest, caller: CallerDep, deps: DepsDep) -> ContextReply:
    """Return a block of numbered evidence out of several stores, within a budget of tokens, and what it cites."""
    found = await _find(deps, caller.tenant, body.vector_store_ids, body.query, body.top_k, body.mode)
    return assemble(found, body.budget_tokens, body.placement, deps.embedder.counter)


async def _find(
    deps: Deps, tenant: str, store_ids: tuple[str, ...], query: str, top_k: int, mode: SearchMode
) -> list[Scored]:
    started = time.perf_counter()
    with deps.tracing.span("search", attributes={"sluice.search.mode": mode, names.TENANT: tenant}) as span:
        scope = await deps.library.scope(tenant, store_ids)
        found = await search(query, scope, top_k, mode, deps.embedder, deps.vectors, deps.fusion)
        span.set_attribute(names.CHUNKS, len(found))
    deps.metrics.search_seconds.labels(mode).observe(time.perf_counter() - started)
    return found


def _hit(scored: Scored) -> SearchHit:
    passage = scored.passage
    return SearchHit(
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        vector_store_id=passage.store_id,
        source=passage.source,
        heading=passage.heading,
        text=passage.text,
        score=scored.score,
        start=passage.start,
        end=passage.end,
    )
