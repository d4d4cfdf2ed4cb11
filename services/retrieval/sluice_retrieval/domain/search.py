"""Search: dense, BM25, or both joined by reciprocal rank fusion (F133, F134, F136, F139)."""

from collections.abc import Sequence
from typing import Protocol

from sluice.contracts.retrieval import SearchMode
from sluice_retrieval.domain.bm25 import query_terms, query_vector
from sluice_retrieval.domain.embedding import Embedder
from sluice_retrieval.domain.fusion import Fusion, reciprocal_rank_fusion
from sluice_retrieval.domain.points import Dense, Probe, Scope, Scored, Sparse, VectorStore

_POOL_FACTOR = 2
_POOL_MIN = 20


class ScopeReader(Protocol):
    """Tells what a search over stores may see; raises `StoreNotFound` for a store that is not the tenant's."""

    async def scope(self, tenant: str, store_ids: Sequence[str]) -> Scope:
        """Return the scope."""
        ...


async def search(
    query: str,
    scope: Scope,
    top_k: int,
    mode: SearchMode,
    embedder: Embedder,
    vectors: VectorStore,
    fusion: Fusion,
) -> list[Scored]:
    """Return the best passages; a score is a cosine, a BM25 score or a fused one, by the mode."""
    probes: list[Probe] = []
    if mode != "bm25":
        embedded = await embedder.embed([query], "query")
        probes.append(Dense(embedded.vectors[0]))
    if mode != "dense":
        weights = query_vector(query_terms(query))
        if weights.indices:
            probes.append(Sparse(weights))
    if not probes:
        return []
    pool = top_k if len(probes) == 1 else max(_POOL_FACTOR * top_k, _POOL_MIN)
    rankings = await vectors.search(scope, probes, pool)
    return _joined(rankings, top_k, fusion) if mode == "hybrid" else rankings[0][:top_k]


def _joined(rankings: Sequence[Sequence[Scored]], top_k: int, fusion: Fusion) -> list[Scored]:
    passages = {scored.passage.chunk_id: scored.passage for ranking in rankings for scored in ranking}
    weights = (1.0, fusion.bm25_weight)
    fused = reciprocal_rank_fusion(
        [
            (weight, [scored.passage.chunk_id for scored in ranking])
            for weight, ranking in zip(weights, rankings, strict=False)
        ],
        fusion.k,
    )
    return [Scored(passages[item.id], item.score) for item in fused[:top_k]]
