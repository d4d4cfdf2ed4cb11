"""A trained classifier: two linear heads over one text, its sentence embedding and its words, added and calibrated."""

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sluice_router.domain.classify.reading import Reading

Floats = NDArray[np.float32]
WORD_BITS = 12
READ_CHARS = 2000
_GRAMS = (3, 4)


def word_features(text: str) -> list[int]:
    """Return hashed features of the words: each word, each pair, and runs of 3 and 4 characters; each once."""
    words = text[:READ_CHARS].lower().split()
    line = f" {' '.join(words)} "
    found = {f"w{word}" for word in words}
    found.update(f"p{one} {other}" for one, other in itertools.pairwise(words))
    found.update(line[start : start + size] for size in _GRAMS for start in range(len(line) - size + 1))
    return sorted({zlib.crc32(feature.encode(errors="replace")) % (1 << WORD_BITS) for feature in found})


@dataclass(frozen=True, slots=True)
class Scaling:
    """How raw features become the numbers that a head reads: `mean` and `spread` of embeddings, `rarity` of words."""

    mean: Floats
    spread: Floats
    rarity: Floats
    word_scale: float

    def apply(self, texts: Sequence[str], embeddings: Floats) -> Floats:
        """Return one row for each text."""
        words = np.zeros((len(texts), 1 << WORD_BITS), dtype=np.float32)
        for row, text in zip(words, texts, strict=True):
            found = word_features(text)
            row[found] = self.rarity[found]
        words *= self.word_scale / np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-9)
        return np.concatenate([(embeddings - self.mean) / self.spread, words], axis=1, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Head:
    """A softmax classifier with its calibration.

    `temperature` makes probabilities of the scores (Guo and others 2017). A text is out of scope when its energy, the
    logarithm of the summed exponentials of its scores, is below `floor` (Liu and others 2020): a classifier that knows none of
    the words gives low scores to all classes, while its probabilities still sum to one.
    """

    classes: tuple[str, ...]
    scaling: Scaling
    weights: Floats
    bias: Floats
    temperature: float
    floor: float

    def scores(self, texts: Sequence[str], embeddings: Floats) -> Floats:
        """Return the score of each class for each text."""
        found: Floats = self.scaling.apply(texts, embeddings) @ self.weights + self.bias
        return found

    def read(self, text: str, embedding: Floats, least: float) -> Reading:
        """Classify one text; a class with a probability below `least` is not confident."""
        scores = self.scores([text], embedding[None, :])
        chances = probabilities(scores, self.temperature)[0]
        best = int(chances.argmax())
        label, confidence = self.classes[best], float(chances[best])
        if energies(scores)[0] < self.floor:
            return Reading("out_of_scope", label, confidence)
        return Reading("recognised" if confidence >= least else "not_confident", label, confidence)


def probabilities(scores: Floats, temperature: float = 1.0) -> Floats:
    """Return the softmax of each row."""
    shifted = (scores - scores.max(axis=1, keepdims=True)) / temperature
    raised = np.exp(shifted)
    found: Floats = raised / raised.sum(axis=1, keepdims=True)
    return found


def energies(scores: Floats) -> Floats:
    """Return the logarithm of the summed exponentials of each row."""
    top = scores.max(axis=1)
    found: Floats = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return found
