"""How much better a stronger model would answer: learned from texts of which both models' answers were rated.

The head predicts the *gain*, the difference of both qualities, and not whether a text is hard: a text that neither model can
answer is hard, and the stronger model is wasted on it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluice_router.domain.classify.head import Floats

FOLDS = 5
WIDTH = 4.0
"""How fast the kernel falls: texts of cosine similarity s count exp(WIDTH * (s - 1)) for one another."""
PENALTY = 10.0
EXPECTED = 256
_SHARES = tuple(place / 20 for place in range(21))
_STEPS = 100
_ENOUGH = 1e-3
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class GainHead:
    """Predicts gains, -1 to 1, from embeddings: a weighted sum of how near the text is to each example.

    `examples` are unit vectors, one row for each example, with its weight. `expected` are 256 quantiles of the gains of examples that were
    left out of the training, rising.
    """

    examples: Floats
    weights: Floats
    bias: float
    expected: Floats

    def gains(self, embeddings: Floats) -> Floats:
        """Return one gain for each row of embeddings."""
        found: Floats = _nearness(_unit(embeddings), self.examples) @ self.weights + np.float32(self.bias)
        return found


class GainExamples(NamedTuple):
    """Embeddings of texts, and the qualities (0 to 1) of the weaker and the stronger model's answers."""

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

    Kernel ridge regression (Saunders, Gammerman and Vovk 1998) with a Gaussian kernel on unit vectors, solved for all six trainings
    at once by conjugate gradients (Hestenes and Stiefel 1952).

    Raises:
        ValueError: the stronger model is not better on average.
    """
    gains = (examples.strong - examples.weak).astype(np.float32)
    if gains.mean() <= 0:
        raise ValueError(
            "The stronger model must be better on average in the examples; are `weak` and `strong` mixed up?"
        )
    units = _unit(examples.embeddings)
    fold = np.random.default_rng(0).permutation(len(gains)) % FOLDS
    # one column for each training: five without a fold each, and one with all
    taken = np.stack([(fold != number).astype(np.float32) for number in range(FOLDS + 1)], axis=1)
    bias = (gains[:, None] * taken).sum(axis=0) / taken.sum(axis=0)
    kernel = _kernel(units)
    weights = _solved(kernel, (gains[:, None] - bias) * taken, taken)
    held_out = (_times(kernel, weights) + bias)[np.arange(len(gains)), fold]
    expected = np.quantile(held_out, np.linspace(0, 1, EXPECTED)).astype(np.float32)
    head = GainHead(units, weights[:, FOLDS].copy(), float(bias[FOLDS]), expected)
    curve = curve_of(held_out, examples.weak, examples.strong)
    return GainTrained(head, apgr(held_out, examples.weak, examples.strong), curve)


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


def _unit(embeddings: Floats) -> Floats:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    found: Floats = (embeddings / np.maximum(lengths, 1e-9)).astype(np.float32)
    return found


def _nearness(some: Floats, others: Floats) -> Floats:
    found: Floats = np.exp(np.float32(WIDTH) * ((others @ some.T).T - np.float32(1.0)))
    return found


Kernel = NDArray[np.float16]


def _kernel(units: Floats) -> Kernel:
    # Half precision halves the memory (200 MB for 10,000 examples), and what it rounds off is far below the penalty.
    kernel = np.empty((len(units), len(units)), dtype=np.float16)
    for start in range(0, len(units), _BLOCK):
        kernel[start : start + _BLOCK] = _nearness(units[start : start + _BLOCK], units)
    return kernel


def _times(kernel: Kernel, columns: Floats) -> Floats:
    blocks = (kernel[start : start + _BLOCK].astype(np.float32) @ columns for start in range(0, len(kernel), _BLOCK))
    found: Floats = np.concatenate(list(blocks))
    return found


def _solved(kernel: Kernel, targets: Floats, taken: Floats) -> Floats:
    # Solves (K + PENALTY) x = target over the taken rows of each column; the others stay 0.
    found = np.zeros_like(targets)
    residual, direction = targets.copy(), targets.copy()
    size = (residual * residual).sum(axis=0)
    least = _ENOUGH**2 * size
    for _ in range(_STEPS):
        if (size <= least).all():
            break
        image = _times(kernel, direction) * taken + np.float32(PENALTY) * direction
        step = size / np.maximum((direction * image).sum(axis=0), np.float32(1e-30))
        found += step * direction
        residual -= step * image
        size, before = (residual * residual).sum(axis=0), np.maximum(size, np.float32(1e-30))
        direction = residual + size / before * direction
    return found
