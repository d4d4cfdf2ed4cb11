"""Splitting: which of several things a caller belongs to in a canary or an A/B test."""

import hashlib
import math
from collections.abc import Iterable


def assigned(name: str, weights: Iterable[tuple[str, float]], subject: str) -> str | None:
    """Return which of the weighted choices of the split `name` this subject has, always the same one; None without a weight above 0.

    Weighted rendezvous hashing (Thaler and Ravishankar 1998; the logarithmic weights are Schindelhauer and Schomaker's,
    2005): when a weight grows, callers move to that choice only, and none moves between two others.
    """
    scored = [(_score(name, choice, weight, subject), choice) for choice, weight in weights if weight > 0]
    return min(scored)[1] if scored else None


def _score(name: str, choice: str, weight: float, subject: str) -> float:
    drawn = int.from_bytes(hashlib.blake2b(f"{name}\0{choice}\0{subject}".encode(), digest_size=8).digest(), "big")
    return -math.log((drawn + 1) / (2**64 + 1)) / weight
