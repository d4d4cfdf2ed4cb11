"""Choosing hits that do not repeat each other: maximal marginal relevance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Chosen(NamedTuple):
    """A candidate's position in what was given, and its cosine to the most similar one that was chosen before it."""

    position: int
    likeness: float | None


def maximal_marginal_relevance(
    relevance: Sequence[float], vectors: NDArray[np.float32], diversity: float, limit: int
) -> list[Chosen]:
    """Return up to `limit` candidates in the order of choice.

    Each time the one with the highest (1 - diversity) × relevance - diversity × likeness is taken, where likeness is the
    cosine to the most similar one taken before (Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for
    Reordering Documents and Producing Summaries", 1998; their λ is 1 - diversity).

    Args:
        relevance: one number from 0 to 1 for each candidate; ties go to the earlier one.
        vectors: one row for each candidate, of any length but zero.
        diversity: from 0 (relevance alone) to 1.
        limit: how many to choose.
    """
    if not len(relevance):
        return []
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    worth = (1 - diversity) * np.asarray(relevance, dtype=np.float64)
    likeness = np.full(len(relevance), -np.inf)
    open_ones = np.ones(len(relevance), dtype=bool)
    chosen: list[Chosen] = []
    for _ in range(min(limit, len(relevance))):
        value = worth - diversity * likeness if chosen else worth
        best = int(np.argmax(np.where(open_ones, value, -np.inf)))
        chosen.append(Chosen(best, float(likeness[best]) if chosen else None))
        open_ones[best] = False
        likeness = np.maximum(likeness, units @ units[best])
    return chosen
