"""Turns a text into hashed character and word n-grams, each with its place, and scores any part of it with trained linear heads.

A head is logistic regression over which n-grams occur in a part, scaled by the root of how many do. It reads parts of bounded
length only and counts an n-gram once in each, so that neither a long text nor a repeated word adds up to a suspicion.
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
SHORT, LONG = 100, 400
_BATCH = 2048
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - BITS)

Span = tuple[int, int]
"""Start and end in characters."""


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of a text as numbers below 2**BITS in the order of the characters at which they begin, and the words' places."""

    size: int
    codes: NDArray[np.int64]
    places: NDArray[np.int64]
    words: NDArray[np.int64]

    def spans(self) -> list[Span]:
        """Return overlapping windows of `LONG` and `SHORT` characters that begin with a word; a text of up to `LONG` is one.

        A short attack drowns in a long window and stands out in a short one. Where fewer than `MIN_WORDS` words begin there is no window.
        """
        if len(self.words) < MIN_WORDS:
            return []
        if self.size <= SHORT:
            return [(0, self.size)]
        return [*([(0, self.size)] if self.size <= LONG else self._windows(LONG)), *self._windows(SHORT)]

    def _windows(self, width: int) -> list[Span]:
        marks = np.arange(0, max(1, self.size - width // 2), width // 2)
        first = np.searchsorted(self.words, marks)
        starts = self.words[np.minimum(first, len(self.words) - 1)]
        ends = np.minimum(starts + width, self.size)
        wanted = np.searchsorted(self.words, ends) - first >= MIN_WORDS
        return list(dict.fromkeys(zip(starts[wanted].tolist(), ends[wanted].tolist(), strict=True)))


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
    # Each character of the joined tokens with its own place; the blank before a token has the token's.
    before = np.cumsum(lengths + 1) - lengths - 1
    joined = np.repeat(starts - before - 1, lengths + 1) + np.arange(len(codes) - 1)
    joined[before] = starts
    joined = np.append(joined, joined[-1])
    hashes = np.array([crc32(token.encode()) for token, _ in tokens], dtype=np.uint64)
    found = [(_hashed(codes.astype(np.uint64), size, size), joined) for size in CHARACTERS if len(codes) >= size]
    found += [(_hashed(hashes, size, 10 + size), starts) for size in WORDS if len(tokens) >= size]
    places = np.concatenate([places[: len(each)] for each, places in found])
    order = np.argsort(places, kind="stable")
    return Grams(
        len(text),
        np.concatenate([each for each, _ in found]).astype(np.int64)[order],
        places[order],
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
        starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        first, last = np.searchsorted(read.places, starts), np.searchsorted(read.places, ends)
        # In batches: a megabyte of text has windows of sixteen million n-grams.
        batches = [
            self._raw(read, first[at : at + _BATCH], last[at : at + _BATCH]) for at in range(0, len(spans), _BATCH)
        ]
        raw = np.concatenate(batches) if batches else np.empty(0)
        return np.where(last > first, np.clip(self.scale * raw + self.shift, -40.0, 40.0), -40.0)

    def _raw(self, read: Grams, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = last - first
        owner = np.repeat(np.arange(len(counts)), counts)
        at = np.arange(len(owner)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
        keys = np.sort(owner << BITS | read.codes[at])  # np.unique hashes, which takes ten times as long
        once = keys[np.concatenate(([True], keys[1:] != keys[:-1]))] if len(keys) else keys
        owner = once >> BITS
        sums = np.bincount(owner, self.weights[once & (2**BITS - 1)], len(counts))
        return sums / np.sqrt(np.maximum(np.bincount(owner, minlength=len(counts)), 1)) + self.bias

    def best(self, read: Grams, spans: Sequence[Span] | None = None) -> Scored:
        """Return the part with the highest score: of `spans`, or else of the text and its windows."""
        asked = read.spans() if spans is None else spans
        if not asked:
            return Scored(0.0, 0, 0)
        logits = self.logits(read, asked)
        at = int(logits.argmax())
        return Scored(1.0 / (1.0 + math.exp(-float(logits[at]))), *asked[at])
