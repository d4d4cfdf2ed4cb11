"""Split: which candidate of a canary or an A/B test a caller belongs to."""

import hashlib
import math
from collections.abc import Iterable

from sluice.contracts.routing import Share


def assigned(route: str, split: Iterable[Share], subject: str) -> str | None:
    """Return the model of this subject, always the same one; None without a weight above 0.

    Weighted rendezvous hashing (Thaler and Ravishankar 1998; the logarithmic weights are Schindelhauer and Schomaker's,
    2005): when a weight grows, callers move to that model only, and none moves between two others.
    """
    scored = [(_score(route, share, subject), share.model) for share in split if share.weight > 0]
    return min(scored)[1] if scored else None


def _score(route: str, share: Share, subject: str) -> float:
    text = f"{route}\0{share.model}\0{subject}"
    drawn = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    return -math.log((drawn + 1) / (2**64 + 1)) / share.weight
