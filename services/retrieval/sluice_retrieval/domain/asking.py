"""Asking for everything that a question was made of, and joining what was found."""

from collections.abc import Sequence
from typing import NamedTuple

from sluice.contracts.searching import Query
from sluice_retrieval.domain.embedding import BegunVectors
from sluice_retrieval.domain.fusion import Fusion
from sluice_retrieval.domain.points import Probe, Scope, Searcher
from sluice_retrieval.domain.questions.expansion import SYNONYM_WEIGHT, TERM_WEIGHT, marking_terms
from sluice_retrieval.domain.questions.understanding import Reading
from sluice_retrieval.domain.rerank import Reranker
from sluice_retrieval.domain.search import Awaited, Hit, joined, probes_of, search

_FEEDBACK_POOL = 20


class Engine(NamedTuple):
    """What a search is done with."""

    vectors: Searcher
    fusion: Fusion
    reranker: Reranker | None


class Prepared(NamedTuple):
    """One text to search for: the query, its probes, and its weight when rankings are joined."""

    query: Query
    probes: dict[str, Probe | Awaited]
    weight: float


def prepare(query: Query, reading: Reading, begun: BegunVectors, scope: Scope) -> list[Prepared]:
    """Return what a question is searched for with; the model begins to read every text, each once."""
    added = dict.fromkeys(reading.synonyms, SYNONYM_WEIGHT)
    found = []
    for one in reading.asked:
        asked = query.model_copy(update={"query": one.text})
        found.append(Prepared(asked, probes_of(asked, begun, added, scope.languages, scope.rankings), one.weight))
    return found


async def find(prepared: Sequence[Prepared], scope: Scope, engine: Engine) -> list[Hit]:
    """Return the best hits of all texts, joined by ranks where there are several."""
    rankings = [
        await search(one.query, one.probes, scope, engine.vectors, engine.fusion, engine.reranker) for one in prepared
    ]
    if len(rankings) == 1:
        return rankings[0]
    return joined(rankings, [one.weight for one in prepared])[: prepared[0].query.top_k]


async def terms_to_add(prepared: Sequence[Prepared], scope: Scope, engine: Engine) -> tuple[str, ...]:
    """Return terms of the store that mark what a first search finds for the first text; none if it finds little."""
    first = prepared[0]
    query = first.query.model_copy(update={"top_k": _FEEDBACK_POOL, "diversity": 0.0, "min_score": None})
    hits = await search(query, first.probes, scope, engine.vectors, engine.fusion)
    return marking_terms(first.query.query, [hit.passage.text for hit in hits])


def with_terms(
    prepared: Sequence[Prepared], reading: Reading, terms: Sequence[str], begun: BegunVectors, scope: Scope
) -> list[Prepared]:
    """Return the same texts with terms of the store added to the words of the first."""
    first = prepared[0]
    added = {**dict.fromkeys(terms, TERM_WEIGHT), **dict.fromkeys(reading.synonyms, SYNONYM_WEIGHT)}
    words = first.query.model_copy(update={"mode": "bm25"})
    probes = {**first.probes, **probes_of(words, begun, added, scope.languages, scope.rankings)}
    return [first._replace(probes=probes), *prepared[1:]]
