"""Joining two rankings whose scores are on different scales (F138, F139)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Fusion(NamedTuple):
    """How hybrid search joins its two rankings by rank.

    The smaller `k`, the more the first ranks count. `bm25_weight` is the weight of BM25's ranking beside 1 for the
    dense one. The defaults are those that did best on tests/quality/retrieval, whose questions mostly use other words
    than the answers do.
    """

    k: int = 2
    bm25_weight: float = 0.5


class Fused(NamedTuple):
    """An item and its joint score."""

    id: str
    score: float


def reciprocal_rank_fusion(rankings: Sequence[tuple[float, Sequence[str]]], k: int) -> list[Fused]:
    """Return all items, best first, with score = sum over rankings of weight / (k + rank), rank from 1.

    `rankings` are pairs of weight and items. Only ranks count, so BM25 and cosine need no common scale (Cormack, Clarke
    and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", 2009, where
    all weights are 1 and k is 60). Ties keep the order of first appearance.
    """
    scores: dict[str, float] = {}
    for weight, ranking in rankings:
        for rank, item in enumerate(dict.fromkeys(ranking), start=1):
            scores[item] = scores.get(item, 0.0) + weight / (k + rank)
    return _best_first(scores)


def weighted_fusion(rankings: Sequence[tuple[float, Mapping[str, float]]]) -> list[Fused]:
    """Return all items, best first, with score = sum over rankings of weight × score on a scale from 0 to 1.

    `rankings` are pairs of weight and scores. What a ranking does not have counts 0 in it, as its worst candidate does.
    """
    scores: dict[str, float] = {}
    for weight, ranking in rankings:
        for item, score in scaled(ranking).items():
            scores[item] = scores.get(item, 0.0) + weight * score
    return _best_first(scores)


def scaled(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores with the highest at 1 and the lowest at 0; all are 1 if they are equal."""
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if high <= low:
        return dict.fromkeys(scores, 1.0)
    return {item: (score - low) / (high - low) for item, score in scores.items()}


def _best_first(scores: Mapping[str, float]) -> list[Fused]:
    return sorted((Fused(item, score) for item, score in scores.items()), key=lambda fused: -fused.score)
