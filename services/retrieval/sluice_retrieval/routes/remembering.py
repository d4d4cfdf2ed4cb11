"""Recalling what is known of an end user."""

from collections.abc import Sequence

from sluice.contracts.memories import FoundMemory, MemorySearch
from sluice.contracts.searching import Comparison, Compound
from sluice.contracts.searching import Query as SearchQuery
from sluice_retrieval.domain.errors import StoreNotFound
from sluice_retrieval.routes.finding import find_hits
from sluice_retrieval.store.memories import store_of
from sluice_retrieval.wiring import Deps

_POOL = 2


async def remembered(deps: Deps, tenant: str, asked: MemorySearch) -> Sequence[FoundMemory]:
    """Return the memories that match best; none where nothing was ever remembered."""
    now = deps.clock.now()
    query = SearchQuery(
        query=asked.query,
        top_k=_POOL * asked.top_k,
        min_score=asked.min_score,
        filters=Compound(
            type="and",
            filters=(
                Comparison(type="eq", key="user", value=asked.user),
                Comparison(type="in", key="kind", value=asked.kinds),
                Comparison(type="gt", key="expires_at", value=now),
            ),
        ),
    )
    try:
        found = await find_hits(deps, tenant, (store_of(tenant),), query)
    except StoreNotFound:
        return ()
    best: dict[str, float] = {}
    for hit in found.hits:
        best.setdefault(hit.passage.document_id, hit.score)
    known = await deps.memories.named(tenant, best, now)
    matching = [FoundMemory(score=score, memory=known[one]) for one, score in best.items() if one in known]
    return matching[: asked.top_k]
