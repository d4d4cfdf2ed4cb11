"""How much better a stronger model would answer: a linear head over one text, trained on what both models were worth.

The head predicts the *gain*, the difference of both qualities, and not whether a text is hard: a text that neither model can
answer is hard, and the stronger model is wasted on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sluice_router.domain.classify.head import Floats, Scaling
from sluice_router.domain.classify.training import scaling_of

FOLDS = 5
PENALTY = 1000.0
EXPECTED = 256
_SHARES = tuple(place / 20 for place in range(21))
_STEPS = 120
_ENOUGH = 1e-5


@dataclass(frozen=True, slots=True)
class GainHead:
    """Predicts gains, -1 to 1. `expected` are 256 quantiles of those of examples that were left out of the training, rising."""

    scaling: Scaling
    weights: Floats
    bias: float
    expected: Floats

    def gains(self, texts: Sequence[str], embeddings: Floats) -> Floats:
        """Return one gain for each text."""
        found: Floats = self.scaling.apply(texts, embeddings) @ self.weights + np.float32(self.bias)
        return found


class GainExamples(NamedTuple):
    """Texts with their embeddings, and the qualities (0 to 1) of the weaker and the stronger model's answers."""

    texts: tuple[str, ...]
    embeddings: Floats
    weak: Floats
    strong: Floats


class Recovered(NamedTuple):
    """What a share of requests to the stronger model comes to: mean quality, and the part of its advantage that this keeps."""

    share: float
    quality: float
    gap: float


class GainTrained(NamedTuple):
    """A head, and what it is worth on examples that were left out of a training: `apgr`, and the curve behind it."""

    head: GainHead
    apgr: float
    curve: tuple[Recovered, ...]


def train_gain(examples: GainExamples) -> GainTrained:
    """Train on all examples; what it is worth comes from five trainings that left the assessed ones out.

    Ridge regression by conjugate gradients (Hestenes and Stiefel 1952) on the embedding and the words.

    Raises:
        ValueError: the stronger model is not better on average.
    """
    gains = (examples.strong - examples.weak).astype(np.float32)
    if gains.mean() <= 0:
        raise ValueError(
            "The stronger model must be better on average in the examples; are `weak` and `strong` mixed up?"
        )
    scaling = scaling_of(examples.texts, examples.embeddings)
    data = scaling.apply(examples.texts, examples.embeddings)
    fold = np.random.default_rng(0).permutation(len(gains)) % FOLDS
    held_out = np.empty_like(gains)
    for number in range(FOLDS):
        weights, bias = _ridge(data, gains, (fold != number).astype(np.float32))
        held_out[fold == number] = data[fold == number] @ weights + bias
    weights, bias = _ridge(data, gains, np.ones_like(gains))
    expected = np.quantile(held_out, np.linspace(0, 1, EXPECTED)).astype(np.float32)
    curve = curve_of(held_out, examples.weak, examples.strong)
    return GainTrained(
        GainHead(scaling, weights, bias, expected), apgr(held_out, examples.weak, examples.strong), curve
    )


def apgr(predicted: Floats, weak: Floats, strong: Floats) -> float:
    """Return the average performance gap recovered: the mean over all shares of the gap that giving the requests with the largest
    predicted gains to the stronger model keeps (Ong and others, RouteLLM, 2024); 0.5 is chance.
    """
    kept = _kept(predicted, weak, strong)
    return float(np.trapezoid(kept, dx=1.0 / (len(kept) - 1)))


def curve_of(predicted: Floats, weak: Floats, strong: Floats) -> tuple[Recovered, ...]:
    """Return quality and recovered gap at shares from nothing to all."""
    kept = _kept(predicted, weak, strong)
    low, gap = float(weak.mean()), float(strong.mean() - weak.mean())
    found = ((share, float(kept[round(share * (len(kept) - 1))])) for share in _SHARES)
    return tuple(Recovered(share, low + part * gap, part) for share, part in found)


def _kept(predicted: Floats, weak: Floats, strong: Floats) -> Floats:
    order = np.argsort(-predicted, kind="stable")
    gains = (strong - weak)[order].astype(np.float64)
    kept: Floats = np.concatenate([[0.0], np.cumsum(gains)]) / gains.sum()
    return kept


def _ridge(data: Floats, targets: Floats, mask: Floats) -> tuple[Floats, float]:
    # Only rows with a mask of 1 count; copying them would double the memory.
    bias = float((targets * mask).sum() / mask.sum())
    right = data.T @ ((targets - np.float32(bias)) * mask)
    weights = np.zeros_like(right)
    residual, direction = right.copy(), right.copy()
    size = float(residual @ residual)
    least = _ENOUGH**2 * size
    for _ in range(_STEPS):
        if size <= least:
            break
        image = data.T @ ((data @ direction) * mask) + np.float32(PENALTY) * direction
        step = np.float32(size / float(direction @ image))
        weights += step * direction
        residual -= step * image
        size, before = float(residual @ residual), size
        direction = residual + np.float32(size / before) * direction
    return weights, bias
