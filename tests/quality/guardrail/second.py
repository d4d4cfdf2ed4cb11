"""Trains the network of the second reading on vectors of the encoder, which are kept in a file: they are what takes long."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.quality.guardrail.training import Row

from sluice_guardrail.adapters.encoder import open_encoder
from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.second import Floats, Network
from sluice_guardrail.domain.skeleton import skeleton

INNER = 64
EPOCHS = 12
BATCH = 256
SPREAD = 0.3


class Vectors:
    """An encoder that knows what it has read before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = open_encoder()
        self._known: dict[str, Floats] = {}
        if path.exists():
            with np.load(path, allow_pickle=False) as kept:
                self._known = dict(zip(kept["keys"].tolist(), kept["vectors"].astype(np.float32), strict=True))

    def encode(self, text: str) -> Floats:
        key = hashlib.sha1(text.encode(errors="replace"), usedforsecurity=False).hexdigest()
        if key not in self._known:
            assert self._encoder is not None, "The encoder's wheels are not installed."
            self._known[key] = self._encoder.encode(text)
        return self._known[key]

    def of(self, rows: Sequence[Row]) -> Floats:
        return np.stack([self.encode(skeleton(fold(row.text).text)) for row in rows])

    def save(self) -> None:
        vectors = np.stack(list(self._known.values())).astype(np.float16)
        np.savez(self._path, keys=np.array(list(self._known)), vectors=vectors)


def network(vectors: Floats, labels: NDArray[np.float64], seed: int = 1) -> Network:
    """Fit one hidden layer by Adam with weight decay, both classes weighing the same; nothing is calibrated yet.

    Every dimension is trained on at the same spread; the first layer undoes that, so that it takes vectors as they come.
    """
    rng = np.random.default_rng(seed)
    middle, spread = vectors.mean(axis=0), vectors.std(axis=0)
    factor = np.where(spread > 1e-4, SPREAD / np.maximum(spread, 1e-4), 0.0).astype(np.float32)
    vectors = (vectors - middle) * factor
    share = labels.mean()
    weight = np.where(labels == 1, 0.5 / share, 0.5 / (1 - share))
    size = vectors.shape[1]
    parts = [rng.normal(0, (2 / size) ** 0.5, (size, INNER)), np.zeros(INNER), rng.normal(0, 0.2, INNER), np.zeros(1)]
    first, second = [np.zeros_like(part) for part in parts], [np.zeros_like(part) for part in parts]
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(labels))
        for at in range(0, len(order), BATCH):
            some = order[at : at + BATCH]
            step += 1
            for part, gradient, one, two in zip(
                parts, _gradients(parts, vectors[some], labels[some], weight[some]), first, second, strict=True
            ):
                one += 0.1 * (gradient - one)
                two += 0.001 * (gradient**2 - two)
                part -= 0.001 * (one / (1 - 0.9**step) / (np.sqrt(two / (1 - 0.999**step)) + 1e-8) + 1e-2 * part)
    inner, inner_bias, outer, outer_bias = (part.astype(np.float32) for part in parts)
    inner = inner * factor[:, None]
    inner_bias = inner_bias - middle @ inner
    return Network(inner, inner_bias, outer, float(outer_bias[0]), 0.0, 1.0, 0.0, -40.0, 40.0)


def _gradients(
    parts: Sequence[NDArray[np.float64]], x: Floats, y: NDArray[np.float64], weight: NDArray[np.float64]
) -> Sequence[NDArray[np.float64]]:
    inner, inner_bias, outer, outer_bias = parts
    active = np.maximum(x @ inner + inner_bias, 0.0)
    error = (1 / (1 + np.exp(-np.clip(active @ outer + outer_bias[0], -40, 40))) - y) * weight / len(y)
    back = np.outer(error, outer) * (active > 0)
    return x.T @ back, back.sum(axis=0), active.T @ error, np.array([error.sum()])


def write_network(path: Path, net: Network) -> None:
    numbers = [net.outer_bias, net.weight_first, net.weight_second, net.shift, net.low, net.high]
    inner, inner_bias, outer = (part.astype(np.float16) for part in (net.inner, net.inner_bias, net.outer))
    np.savez_compressed(path, inner=inner, inner_bias=inner_bias, outer=outer, numbers=np.array(numbers))
