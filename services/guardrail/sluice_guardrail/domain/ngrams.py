"""Turns a text into hashed character and word n-grams, each with its place, and scores any part of it with trained linear heads.

A head is logistic regression over the counts of n-grams, scaled by the root of how many there are. Since the n-grams of a
part are those that begin in it, running sums give the score of every sentence and window of a text for one pass over it.
Hashing needs no vocabulary, so an unknown word still shares its parts with known ones.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sluice_guardrail.domain.skeleton import skeleton

BITS = 17
CHARACTERS = (3, 4, 5)
WORDS = (1, 2, 3)
MIN_WORDS = 3
_WINDOWS = (16, 64)
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - BITS)

Span = tuple[int, int]
"""Start and end in characters."""


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of a text as numbers below 2**BITS with the character at which each begins, and the words' places."""

    size: int
    codes: NDArray[np.int64]
    places: NDArray[np.int64]
    words: NDArray[np.int64]

    def spans(self) -> list[Span]:
        """Return the whole text and its overlapping windows, between words; a text without `MIN_WORDS` words has none.

        A short attack in a long text drowns in the whole and stands out in its window.
        """
        count = len(self.words)
        if count < MIN_WORDS:
            return []
        ends = np.append(self.words, self.size)
        found = [(0, self.size)]
        for width in _WINDOWS:
            if count > width:
                found += [
                    (int(ends[first]), int(ends[min(first + width, count)]))
                    for first in range(0, count - width // 2, width // 2)
                ]
        return found


def grams(text: str) -> Grams:
    """Return the n-grams of a folded text, read by its skeleton."""
    plain = skeleton(text)
    tokens = [(found.group(), found.start()) for found in _TOKEN.finditer(plain)]
    if not tokens:
        none = np.empty(0, dtype=np.int64)
        return Grams(len(text), none, none, none)
    starts = np.array([at for _, at in tokens], dtype=np.int64)
    lengths = np.array([len(token) for token, _ in tokens], dtype=np.int64)
    codes = np.frombuffer(f" {' '.join(token for token, _ in tokens)} ".encode("utf-32-le"), dtype=np.uint32)
    # Each character of the joined tokens with the place of its token; the blank between two belongs to the one after it.
    joined = np.repeat(starts, lengths + 1)
    joined = np.append(joined, joined[-1])
    hashes = np.array([crc32(token.encode()) for token, _ in tokens], dtype=np.uint64)
    found = [(_hashed(codes.astype(np.uint64), size, size), joined) for size in CHARACTERS if len(codes) >= size]
    found += [(_hashed(hashes, size, 10 + size), starts) for size in WORDS if len(tokens) >= size]
    return Grams(
        len(text),
        np.concatenate([each for each, _ in found]).astype(np.int64),
        np.concatenate([places[: len(each)] for each, places in found]),
        starts[[token[0].isalnum() for token, _ in tokens]],
    )


def _hashed(units: NDArray[np.uint64], size: int, salt: int) -> NDArray[np.uint64]:
    count = len(units) - size + 1
    mixed = np.full(count, salt, dtype=np.uint64)
    for offset in range(size):
        mixed = (mixed ^ units[offset : offset + count]) * _PRIME
        mixed ^= mixed >> np.uint64(29)
    return (mixed * _PRIME) >> _SHIFT


@dataclass(frozen=True, slots=True)
class Scored:
    """A part of a text with how likely it is of a head's class."""

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

    def logits(self, read: Grams, spans: Sequence[Span]) -> NDArray[np.float64]:
        """Return the calibrated logit of each part of a text; a part without n-grams gets the lowest, -40."""
        size = read.size + 2
        sums = np.concatenate([[0.0], np.cumsum(np.bincount(read.places, self.weights[read.codes], size))])
        counts = np.concatenate([[0], np.cumsum(np.bincount(read.places, minlength=size))])
        starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        count = counts[ends] - counts[starts]
        raw = (sums[ends] - sums[starts]) / np.sqrt(np.maximum(count, 1)) + self.bias
        return np.where(count > 0, np.clip(self.scale * raw + self.shift, -40.0, 40.0), -40.0)

    def best(self, read: Grams, spans: Sequence[Span] | None = None) -> Scored:
        """Return the part with the highest score: of `spans`, or else of the text and its windows."""
        asked = read.spans() if spans is None else spans
        if not asked:
            return Scored(0.0, 0, 0)
        logits = self.logits(read, asked)
        at = int(logits.argmax())
        return Scored(1.0 / (1.0 + math.exp(-float(logits[at]))), *asked[at])

    def score(self, text: str) -> float:
        """Return how likely a folded text as a whole is of the head's class, 0 to 1; under `MIN_WORDS` words say nothing."""
        read = grams(text)
        return self.best(read, [(0, read.size)]).score if len(read.words) >= MIN_WORDS else 0.0
