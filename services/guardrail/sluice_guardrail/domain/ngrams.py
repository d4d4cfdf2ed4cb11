"""Turns a text into hashed character and word n-grams, and scores them with a trained linear head.

The head is logistic regression over the presence of n-grams, scaled to unit length. Hashing needs no vocabulary, so an
unknown word still shares its parts with known ones. Two hundred tokens take well under a millisecond.
"""

import math
import re
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sluice_guardrail.domain.folding import lowered

BITS = 17
CHARACTERS = (3, 4, 5)
WINDOW_WORDS = 64
MAX_WINDOWS = 400
MIN_WORDS = 3
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - BITS)


def features(text: str) -> NDArray[np.uint64]:
    """Return the distinct n-grams of a folded text as numbers below 2**BITS; fewer than `MIN_WORDS` words say nothing."""
    tokens = _TOKEN.findall(lowered(text))
    if sum(token[0].isalnum() for token in tokens) < MIN_WORDS:
        return np.empty(0, dtype=np.uint64)
    codes = np.frombuffer(f" {' '.join(tokens)} ".encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    words = np.array([crc32(token.encode()) for token in tokens], dtype=np.uint64)
    grams = [_hashed(codes, size, size) for size in CHARACTERS if len(codes) >= size]
    grams += [_hashed(words, size, 10 + size) for size in (1, 2, 3) if len(words) >= size]
    return np.unique(np.concatenate(grams))


def _hashed(units: NDArray[np.uint64], size: int, salt: int) -> NDArray[np.uint64]:
    count = len(units) - size + 1
    mixed = np.full(count, salt, dtype=np.uint64)
    for offset in range(size):
        mixed = (mixed ^ units[offset : offset + count]) * _PRIME
        mixed ^= mixed >> np.uint64(29)
    return (mixed * _PRIME) >> _SHIFT


@dataclass(frozen=True, slots=True)
class Scored:
    """The highest score of any window of a text, and that window's span in characters."""

    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A trained head: weights by n-gram, a bias, and the calibration that makes 0.7 the documented working point."""

    weights: NDArray[np.float32]
    bias: float
    scale: float
    shift: float

    def score(self, text: str) -> float:
        """Return how likely the text is of the head's class, 0 to 1."""
        found = features(text)
        if not len(found):
            return 0.0
        logit = float(self.weights[found].sum()) / math.sqrt(len(found)) + self.bias
        return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, self.scale * logit + self.shift))))

    def best_window(self, text: str) -> Scored:
        """Return the best of the whole text and its overlapping windows of `WINDOW_WORDS` words.

        A short attack in a long text drowns in the whole and stands out in its window. Texts of more than `MAX_WINDOWS`
        windows get longer ones, so that the work stays in proportion to the length.
        """
        best = Scored(self.score(text), 0, len(text))
        places = [(found.start(), found.end()) for found in re.finditer(r"\S+", text)]
        width = max(WINDOW_WORDS, 2 * len(places) // MAX_WINDOWS)
        if len(places) <= width:
            return best
        for first in range(0, len(places) - width // 2, width // 2):
            last = min(first + width, len(places)) - 1
            start, end = places[first][0], places[last][1]
            score = self.score(text[start:end])
            if score > best.score:
                best = Scored(score, start, end)
        return best
