"""Joining rankings whose scores are on different scales (F139)."""

from collections.abc import Sequence
from typing import NamedTuple

RRF_K = 60


class Fused(NamedTuple):
    """An item and its joint score."""

    id: str
    score: float


def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], k: int = RRF_K) -> list[Fused]:
    """Return all items, best first, with score = sum over rankings of 1 / (k + rank), rank from 1.

    Only ranks count, so BM25 and cosine need no common scale (Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion
    outperforms Condorcet and individual Rank Learning Methods", 2009). Ties keep the order of first appearance.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(dict.fromkeys(ranking), start=1):
            scores[item] = scores.get(item, 0.0) + 1 / (k + rank)
    return sorted((Fused(item, score) for item, score in scores.items()), key=lambda fused: -fused.score)
