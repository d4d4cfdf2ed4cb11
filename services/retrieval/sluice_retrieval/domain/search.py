"""Search: dense, BM25, or both joined; then spread and cut as the query asks (F133, F134, F136, F138, F139)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from sluice.contracts.searching import Query, SearchFilter
from sluice.contracts.vector_ranking import VectorMetric
from sluice_retrieval.domain.bm25 import query_terms, query_vector
from sluice_retrieval.domain.diversity import maximal_marginal_relevance
from sluice_retrieval.domain.embedding import BegunVectors, Embedded
from sluice_retrieval.domain.fusion import Fused, Fusion, reciprocal_rank_fusion, scaled, weighted_fusion
from sluice_retrieval.domain.language import ENGLISH
from sluice_retrieval.domain.metrics import METRICS, WEIGHTINGS, Ranking
from sluice_retrieval.domain.points import Dense, Passage, Probe, Scope, Scored, Searcher, Sparse
from sluice_retrieval.domain.rerank import Candidate, Reranker

_POOL_FACTOR = 2
_JOINING_K = (
    1  # the first hit of each text counts most: of 60, 10, 2 and 0.5 the small ones did best (quality, split dev)
)
_SPREAD_FACTOR = 4
_OF_TEXT = frozenset({"dense", *METRICS})
_POOL_MIN = 20


class ScopeReader(Protocol):
    """Tells what a search over stores may see; raises `StoreNotFound` for a store that is not the tenant's."""

    async def scope(self, tenant: str, store_ids: Sequence[str], filters: SearchFilter | None = None) -> Scope:
        """Return the scope."""
        ...


class Awaited(NamedTuple):
    """A `Dense` probe whose vector the model is still making; it may be awaited by many."""

    read: asyncio.Task[Embedded]
    metric: VectorMetric

    async def probe(self) -> Dense:
        """Return it when it is there."""
        return Dense((await self.read).vectors[0], self.metric)


Probes = Mapping[str, Probe | Awaited]
"""The ways to rank that a query asks for, by their names."""


class Place(NamedTuple):
    """Where a ranking put a passage, from 1, and its score there."""

    rank: int
    score: float


class Match(NamedTuple):
    """A chunk that was found inside a passage that is given in its place."""

    chunk_id: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found, and how it came to its place."""

    passage: Passage
    score: float
    places: Mapping[str, Place]
    joined: Place
    reranked: Place | None = None
    reranker: str | None = None
    likeness: float | None = None
    matched: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidates:
    found: Mapping[str, Scored]
    places: Mapping[str, Mapping[str, Place]]
    fused: Sequence[Fused]


async def search(
    query: Query,
    probes: Probes,
    scope: Scope,
    vectors: Searcher,
    fusion: Fusion,
    reranker: Reranker | None = None,
) -> list[Hit]:
    """Return the best passages for a query, of which `probes_of` gave the probes.

    A score is a cosine, a BM25 score or a joint one, by the query's mode; with a reranker it is the reranker's.
    """
    if scope.document_ids == () or not probes:
        return []
    spread = query.diversity > 0
    pool = _pool(query, len(probes), reranks=reranker is not None)
    rankings = await _rankings(vectors, scope, probes, pool, with_vectors=spread)
    candidates = _candidates(query, rankings, fusion)
    hits = _hits(candidates)
    if reranker is not None:
        hits = await _reranked(query, hits, reranker)
    if query.min_score is not None:
        hits = [hit for hit in hits if hit.score >= query.min_score]
    return _diverse(query, candidates, hits) if spread else hits[: query.top_k]


async def _rankings(
    vectors: Searcher, scope: Scope, probes: Probes, pool: int, *, with_vectors: bool
) -> dict[str, list[Scored]]:
    """Return all rankings; those by words are made while the model still reads the question."""

    async def by_words() -> dict[str, list[Scored]]:
        ready = {name: probe for name, probe in probes.items() if not isinstance(probe, Awaited)}
        found = await vectors.search(scope, list(ready.values()), pool, with_vectors=with_vectors) if ready else []
        return dict(zip(ready, found, strict=True))

    async def by_meaning() -> dict[str, list[Scored]]:
        read = {name: await probe.probe() for name, probe in probes.items() if isinstance(probe, Awaited)}
        found = await vectors.search(scope, list(read.values()), pool, with_vectors=with_vectors) if read else []
        return dict(zip(read, found, strict=True))

    asked_first = asyncio.create_task(
        by_words()
    )  # it begins when the other one waits for the model, which nothing delays
    try:
        meaning = await by_meaning()
        words = await asked_first
    finally:
        asked_first.cancel()  # nothing, if it is done
    return {name: _settled(words[name] if name in words else meaning[name]) for name in probes}


def _settled(ranking: list[Scored]) -> list[Scored]:
    """Return a ranking in which passages of one score stand in the order of their documents: the engine has them in any order, another one after each start."""
    if all(one.score != other.score for one, other in pairwise(ranking)):
        return ranking
    return sorted(ranking, key=lambda one: (-one.score, one.passage.document_id, one.passage.start))


def joined(rankings: Sequence[Sequence[Hit]], weights: Sequence[float] | None = None) -> list[Hit]:
    """Return the hits of several queries, best first by reciprocal rank fusion; a hit's explanation is that of its best place.

    `weights` are those of the rankings, 1 each if left out.
    """
    best: dict[str, Hit] = {}
    for rank in range(max(map(len, rankings), default=0)):
        for ranking in rankings:
            if rank < len(ranking):
                best.setdefault(ranking[rank].passage.chunk_id, ranking[rank])
    fused = reciprocal_rank_fusion(
        [
            (weight, [hit.passage.chunk_id for hit in ranking])
            for weight, ranking in zip(weights or [1.0] * len(rankings), rankings, strict=True)
        ],
        _JOINING_K,
    )
    return [
        replace(best[item.id], score=item.score, joined=Place(rank, item.score)) for rank, item in enumerate(fused, 1)
    ]


async def _reranked(query: Query, hits: Sequence[Hit], reranker: Reranker) -> list[Hit]:
    """Rank the best candidates anew; those behind them are left out, since their scores are of another kind."""
    best = hits[: max(query.candidates, query.top_k)]
    asked = [
        Candidate(
            hit.passage.text,
            hit.passage.heading,
            {
                "bm25" if name in WEIGHTINGS else "dense": place.score
                for name, place in hit.places.items()
                if name in WEIGHTINGS or name in _OF_TEXT
            },
        )
        for hit in best
    ]
    found = await reranker.rerank(query.query, asked)
    order = sorted(range(len(best)), key=lambda at: -found.scores[at])
    return [
        replace(best[at], score=found.scores[at], reranked=Place(rank, found.scores[at]), reranker=found.reranker)
        for rank, at in enumerate(order, start=1)
    ]


def probes_of(
    query: Query,
    begun: BegunVectors,
    added: Mapping[str, float] = MappingProxyType({}),
    languages: Sequence[str] = (ENGLISH,),
    rankings: Sequence[Ranking] = (Ranking(),),
) -> dict[str, Probe | Awaited]:
    """Return the ways to rank that a query asks for, named by metric (`dense` is the cosine) and weighting; none if it asks for words and holds none.

    `added` are further words for BM25, each with its weight beside 1 for the query's own; `languages` are those of the
    searched texts, `rankings` the ways in which their stores rank.
    """
    probes: dict[str, Probe | Awaited] = {}
    if query.mode != "bm25":
        read = begun.begin(query.query)
        for metric in dict.fromkeys(one.metric for one in rankings):
            probes["dense" if metric == "cosine" else metric] = Awaited(read, metric)
    if query.mode != "dense":
        weights = query_vector(query_terms(query.query, languages), _weighted(added, languages))
        if weights.indices:
            for weighting in dict.fromkeys(one.keywords for one in rankings):
                probes[weighting] = Sparse(weights, weighting)
    return probes


def _weighted(added: Mapping[str, float], languages: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text, weight in added.items():
        for term in query_terms(text, languages):
            found[term] = max(weight, found.get(term, 0.0))
    return found


def _pool(query: Query, rankings: int, *, reranks: bool) -> int:
    if reranks:
        return max(query.candidates, query.top_k, _POOL_MIN)
    if query.diversity > 0:
        return max(_SPREAD_FACTOR * query.top_k, _POOL_MIN)
    if rankings > 1 or query.deduplicate:
        return max(_POOL_FACTOR * query.top_k, _POOL_MIN)
    return query.top_k


def _candidates(query: Query, rankings: Mapping[str, Sequence[Scored]], fusion: Fusion) -> _Candidates:
    if query.deduplicate:
        rankings = _once(rankings)
    found = {scored.passage.chunk_id: scored for ranking in rankings.values() for scored in ranking}
    places: dict[str, dict[str, Place]] = {chunk_id: {} for chunk_id in found}
    for name, ranking in rankings.items():
        for rank, scored in enumerate(ranking, start=1):
            places[scored.passage.chunk_id][name] = Place(rank, scored.score)
    return _Candidates(found, places, _joined(query, rankings, fusion))


def _joined(query: Query, rankings: Mapping[str, Sequence[Scored]], fusion: Fusion) -> list[Fused]:
    if query.mode != "hybrid" and len(rankings) == 1:
        return [Fused(scored.passage.chunk_id, scored.score) for ranking in rankings.values() for scored in ranking]
    if query.fusion == "weighted":
        return weighted_fusion(
            [
                (
                    query.alpha if name in WEIGHTINGS else 1 - query.alpha,
                    {scored.passage.chunk_id: scored.score for scored in ranking},
                )
                for name, ranking in rankings.items()
            ]
        )
    return reciprocal_rank_fusion(
        [
            (fusion.bm25_weight if name in WEIGHTINGS else 1.0, [scored.passage.chunk_id for scored in ranking])
            for name, ranking in rankings.items()
        ],
        fusion.k,
    )


def _once(rankings: Mapping[str, Sequence[Scored]]) -> dict[str, list[Scored]]:
    """Keep one passage of each text, the same one in every ranking: the first that any ranking has."""
    keeper: dict[str, str] = {}
    for ranking in rankings.values():
        for scored in ranking:
            keeper.setdefault(_plain(scored.passage.text), scored.passage.chunk_id)
    return {
        name: [scored for scored in ranking if keeper[_plain(scored.passage.text)] == scored.passage.chunk_id]
        for name, ranking in rankings.items()
    }


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _hits(candidates: _Candidates) -> list[Hit]:
    return [
        Hit(candidates.found[item.id].passage, item.score, candidates.places[item.id], Place(rank, item.score))
        for rank, item in enumerate(candidates.fused, start=1)
    ]


def _diverse(query: Query, candidates: _Candidates, hits: Sequence[Hit]) -> list[Hit]:
    if not hits:
        return []
    relevance = scaled({hit.passage.chunk_id: hit.score for hit in hits})
    vectors = np.array([candidates.found[hit.passage.chunk_id].dense for hit in hits], dtype=np.float32)
    chosen = maximal_marginal_relevance(list(relevance.values()), vectors, query.diversity, query.top_k)
    return [replace(hits[at], likeness=likeness) for at, likeness in chosen]
