"""Turns a text into hashed character and word n-grams, each with its place, and scores any part of it with trained linear heads.

A head is logistic regression over which n-grams occur in a part, scaled by the root of how many do. It reads parts of bounded
length only and counts an n-gram once in each, so that neither a long text nor a repeated word adds up to a suspicion.
Hashing needs no vocabulary, so an unknown word still shares its parts with known ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
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
_SPACE, _WORD, _SIGN = range(3)
_NUMBER = 0xFFFFFFFF
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - BITS)


def _class(char: str) -> int:
    return _SPACE if char.isspace() else _WORD if char.isalnum() or char == "_" else _SIGN


_ASCII = np.array([_class(chr(code)) for code in range(128)], dtype=np.uint8)

Span = tuple[int, int]
"""Start and end in characters."""


@dataclass(frozen=True, slots=True)
class Grams:
    """The n-grams of a text as numbers below 2**BITS in the order of the characters at which they begin, and the words' places."""

    size: int
    codes: NDArray[np.int64]
    places: NDArray[np.int64]
    words: NDArray[np.int64]
    earlier: NDArray[np.int64]
    """For each n-gram the number of the one before it with the same code, or -1."""

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


def grams(text: str, plain: str | None = None) -> Grams:
    """Return the n-grams of a folded text, read by its skeleton, which is `plain` where it is known already.

    Tokens are runs of letters and digits, and single signs. Characters are counted in the tokens with a blank between any two.
    """
    plain = skeleton(text) if plain is None else plain
    codes = np.frombuffer(plain.encode("utf-32-le"), dtype=np.uint32)
    classes = _classes(codes)
    first, last = classes != _SPACE, classes != _SPACE
    inside = (classes[1:] == _WORD) & (classes[:-1] == _WORD)
    first[1:] &= ~inside
    last[:-1] &= ~inside
    starts, ends = np.flatnonzero(first), np.flatnonzero(last) + 1
    if not len(starts):
        none = np.empty(0, dtype=np.int64)
        return Grams(len(text), none, none, none, none)
    lengths = ends - starts
    # Each character of the joined tokens with its own place; the blank before a token has the token's.
    before = np.cumsum(lengths + 1) - lengths - 1
    joined = np.repeat(starts - before - 1, lengths + 1) + np.arange(before[-1] + lengths[-1] + 1)
    joined[before] = starts
    joined = np.append(joined, joined[-1])
    characters = codes[joined].astype(np.uint64)
    characters[before] = characters[-1] = ord(" ")
    tokens = [plain[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    hashes = np.array([crc32(token.encode()) for token in tokens], dtype=np.uint64)
    found = [
        *zip(_hashed(characters, CHARACTERS, 0), repeat(joined)),
        *zip(_hashed(hashes, WORDS, 10), repeat(starts)),
    ]
    places = np.concatenate([places[: len(each)] for each, places in found])
    order = _packed(places) & _NUMBER
    numbers = np.concatenate([each for each, _ in found]).astype(np.int64)[order]
    words = starts[(classes[starts] == _WORD) & (codes[starts] != ord("_"))]
    return Grams(len(text), numbers, places[order], words, _earlier(numbers))


def _classes(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return of each character whether it is a space, a part of a word or a sign."""
    found = _ASCII[np.minimum(codes, len(_ASCII) - 1)]
    foreign = codes >= len(_ASCII)
    if foreign.any():
        kinds, which = np.unique(codes[foreign], return_inverse=True)
        found[foreign] = np.array([_class(chr(code)) for code in kinds.tolist()], dtype=np.uint8)[which]
    return found


def _packed(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return values below 2**31, each with its number in the lower half, sorted: that takes a fifth of a stable argsort's time."""
    return np.sort(values << 32 | np.arange(len(values)))


def _earlier(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    packed = _packed(codes)
    again = np.flatnonzero(packed[1:] >> 32 == packed[:-1] >> 32)
    found = np.full(len(codes), -1, dtype=np.int64)
    found[packed[again + 1] & _NUMBER] = packed[again] & _NUMBER
    return found


def _hashed(units: NDArray[np.uint64], sizes: Sequence[int], salt: int) -> list[NDArray[np.uint64]]:
    """Return the hashed n-grams of every size, the longest first; `sizes` rise."""
    count = len(units)
    padded = np.concatenate((units, np.zeros(sizes[-1], dtype=np.uint64)))
    mixed = np.repeat(np.array([[salt + size] for size in reversed(sizes)], dtype=np.uint64), count, axis=1)
    for offset in range(sizes[-1]):
        longer = mixed[: sum(size > offset for size in sizes)]
        longer ^= padded[offset : offset + count]
        longer *= _PRIME
        longer ^= longer >> np.uint64(29)
    mixed *= _PRIME
    mixed >>= _SHIFT
    return [row[: max(0, count - size + 1)] for row, size in zip(mixed, reversed(sizes), strict=True)]


def _within(
    numbers: NDArray[np.int64], first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of the rising `numbers` lie in each half-open range, and in which range each of them lies."""
    begin, end = np.searchsorted(numbers, first), np.searchsorted(numbers, last)
    counts = end - begin
    of = np.repeat(np.arange(len(counts)), counts)
    return numbers[np.arange(len(of)) + np.repeat(begin - (np.cumsum(counts) - counts), counts)], of


@dataclass(frozen=True, slots=True)
class Scored:
    """A part of a text with how likely it is of a head's class."""

    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A trained head: weights by n-gram, a bias, and the calibration that makes 0.7 the documented working point.

    The more windows a text has, the higher the highest of harmless ones: `per_doubling` is by how much its logit is lowered for each doubling.
    """

    weights: NDArray[np.float32]
    bias: float
    scale: float
    shift: float
    per_doubling: float = 0.0

    def logits(self, read: Grams, spans: Sequence[Span]) -> NDArray[np.float64]:
        """Return the calibrated logit of each part of a text; a part without n-grams gets the lowest, -40."""
        starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        first, last = np.searchsorted(read.places, starts), np.searchsorted(read.places, ends)
        weights = self.weights[read.codes].astype(np.float64)
        sums = np.concatenate(([0.0], np.cumsum(weights)))
        again = np.flatnonzero(read.earlier >= 0)
        # What occurs again inside a part counts once. In batches: a megabyte of text has millions of those.
        raw = np.empty(len(spans))
        for at in range(0, len(spans), _BATCH):
            some = slice(at, at + _BATCH)
            twice, of = _within(again, first[some], last[some])
            inside = read.earlier[twice] >= first[some][of]
            twice, of = twice[inside], of[inside]
            count = len(first[some])
            total = sums[last[some]] - sums[first[some]] - np.bincount(of, weights[twice], count)
            kept = last[some] - first[some] - np.bincount(of, minlength=count)
            raw[some] = total / np.sqrt(np.maximum(kept, 1)) + self.bias
        return np.where(last > first, np.clip(self.scale * raw + self.shift, -40.0, 40.0), -40.0)

    def best(self, read: Grams, spans: Sequence[Span] | None = None) -> Scored:
        """Return the part with the highest score: of `spans`, or else of the text and its windows."""
        asked = read.spans() if spans is None else spans
        if not asked:
            return Scored(0.0, 0, 0)
        logits = self.logits(read, asked)
        at = int(logits.argmax())
        return Scored(1.0 / (1.0 + math.exp(-self.lowered(float(logits[at]), len(asked)))), *asked[at])

    def lowered(self, logit: float, windows: int) -> float:
        """Return the highest logit of that many windows as it is to be judged."""
        return max(-40.0, logit - self.per_doubling * math.log2(windows))
