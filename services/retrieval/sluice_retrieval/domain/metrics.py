"""How vectors are compared (F137) and words weighed (F134, F135), as a store was made to do it."""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import NamedTuple, get_args

from sluice.contracts.vector_ranking import KeywordWeighting, VectorMetric
from sluice_retrieval.domain.bm25 import SparseVector
from sluice_retrieval.domain.errors import EmbeddingInputInvalid

METRICS: tuple[VectorMetric, ...] = get_args(VectorMetric)
WEIGHTINGS: tuple[KeywordWeighting, ...] = get_args(KeywordWeighting)
_METRIC_NAMES: dict[str, VectorMetric] = {one: one for one in METRICS}
_KEYWORD_NAMES: dict[str, KeywordWeighting] = {one: one for one in WEIGHTINGS}


class Ranking(NamedTuple):
    """How a store ranks; points of stores that rank in different ways lie in different vectors and never share a ranking."""

    metric: VectorMetric = "cosine"
    keywords: KeywordWeighting = "bm25"


def ranking_named(metric: str, keywords: str) -> Ranking:
    """Return the ranking that was recorded under these names."""
    return Ranking(_METRIC_NAMES[metric], _KEYWORD_NAMES[keywords])


def likeness(metric: VectorMetric, one: Sequence[float], other: Sequence[float]) -> float:
    """Return the score of two vectors by a metric, as searches give it.

    Raises:
        EmbeddingInputInvalid: they have different lengths, or one that has no direction is compared by cosine.
    """
    if len(one) != len(other):
        raise EmbeddingInputInvalid(
            f"Vectors of {len(one)} and {len(other)} numbers cannot be compared. Compare vectors of one model."
        )
    if metric == "euclidean":
        return similarity(metric, math.dist(one, other))
    if metric == "dotproduct":
        return math.fsum(map(operator.mul, one, other))
    if not any(one) or not any(other):
        raise EmbeddingInputInvalid("A vector of zeros has no direction, so it has no cosine. Leave it out.")
    return cosine(one, other)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of two vectors that are not zero, from -1 to 1 (F063)."""
    lengths = math.sqrt(math.fsum(value * value for value in one) * math.fsum(value * value for value in other))
    return max(-1.0, min(1.0, math.fsum(map(operator.mul, one, other)) / lengths))


def similarity(metric: VectorMetric, measured: float) -> float:
    """Return a score that is the higher the better from what an engine measures.

    A cosine (-1 to 1) and a dot product (any number) are such scores; a Euclidean distance d (0 and more) becomes 1 / (1 + d), from 1 down to 0.
    """
    return 1.0 / (1.0 + measured) if metric == "euclidean" else measured


def distance_of(score: float) -> float:
    """Return the Euclidean distance that `similarity` made a score of."""
    return 1.0 / score - 1.0


def tfidf_weights(query: SparseVector, chunks: int, with_term: Mapping[int, int]) -> SparseVector:
    """Return a query's weights tf × ln(N / df): with a chunk's own tf their products sum to its TF-IDF score.

    A term that no chunk holds (df = 0, for which the handbook divides by zero) is left out, and so is one that every chunk holds: its weight is 0.
    """
    weighed = {
        term: tf * math.log(chunks / df)
        for term, tf in zip(query.indices, query.values, strict=True)
        if 0 < (df := with_term.get(term, 0)) < chunks
    }
    return SparseVector(tuple(weighed), tuple(weighed.values()))
