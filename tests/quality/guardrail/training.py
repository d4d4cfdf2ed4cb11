"""Fits linear heads by logistic regression and sets their working points."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.ngrams import BITS, MIN_WORDS, LinearHead, grams

ROUNDS = 60
RATE = 0.1
DECAY = 3e-7
WORKING_POINT = 0.7


@dataclass(frozen=True)
class Row:
    """A text with its label; `family` names the kind of attack or of benign text, `set` where it comes from."""

    text: str
    attack: bool
    family: str
    set: str = ""


class Sparse:
    """Rows as the n-grams that occur in them, in one flat array; rows under `MIN_WORDS` words are left out."""

    def __init__(self, rows: Iterable[Row]) -> None:
        read = [(row, found) for row in rows if (found := _codes(row.text)) is not None]
        self.rows = [row for row, _ in read]
        sizes = np.array([len(codes) for _, codes in read])
        self.flat = np.concatenate([codes for _, codes in read])
        self.sizes = sizes
        self.labels = np.array([row.attack for row in self.rows], dtype=np.float64)

    def where(self, wanted: Iterable[bool]) -> NDArray[np.bool_]:
        """Return which rows are wanted."""
        return np.fromiter(wanted, dtype=np.bool_, count=len(self.rows))


@cache
def _codes(text: str) -> NDArray[np.int32] | None:
    read = grams(fold(text).text)
    return np.unique(read.codes).astype(np.int32) if len(read.words) >= MIN_WORDS else None


def fitted(data: Sparse, used: NDArray[np.bool_], counts: Mapping[str, float] | None = None) -> LinearHead:
    """Fit by Adam on all `used` rows at once, both classes weighing the same; `counts` says what a row of a set counts for where that is not 1."""
    ones, zeros = used & (data.labels == 1), used & (data.labels == 0)
    each = np.array([(counts or {}).get(row.set, 1.0) for row in data.rows])
    weight = np.where(ones, 0.5 * each / each[ones].sum(), np.where(zeros, 0.5 * each / each[zeros].sum(), 0.0))
    size = 2**BITS
    rows = np.flatnonzero(used)
    sizes = data.sizes[rows]
    flat = data.flat[np.repeat(used, data.sizes)]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    norm, labels, weight = np.sqrt(sizes), data.labels[rows], weight[rows]
    theta, first, second = np.zeros(size + 1), np.zeros(size + 1), np.zeros(size + 1)
    for step in range(1, ROUNDS + 1):
        logits = np.add.reduceat(theta.astype(np.float32)[flat], starts) / norm + theta[size]
        error = (1 / (1 + np.exp(-np.clip(logits, -40, 40))) - labels) * weight
        gradient = np.empty(size + 1)
        gradient[:size] = np.bincount(flat, np.repeat(error / norm, sizes), size) + DECAY * theta[:size]
        gradient[size] = error.sum()
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        theta -= RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-9)
    return LinearHead(theta[:-1].astype(np.float16).astype(np.float32), float(theta[-1]), 1.0, 0.0)


def edge(logits: NDArray[np.float64], rate: float) -> float:
    """Return the logit above which at most `rate` of the texts lie."""
    return float(np.sort(logits)[max(0, len(logits) - 1 - int(rate * len(logits)))])


def shifted(head: LinearHead, working_logit: float) -> LinearHead:
    """Return the head with that logit at the working point."""
    return replace(head, shift=float(np.log(WORKING_POINT / (1 - WORKING_POINT))) - working_logit)


def write(path: Path, head: LinearHead, **more: NDArray[np.float64]) -> None:
    """Write arrays only; numbers that no text moved are zero and pack well."""
    path.parent.mkdir(exist_ok=True)
    arrays = {
        "weights": head.weights.astype(np.float16),
        "head": np.array([head.bias, head.scale, head.shift, head.per_doubling]),
        **more,
    }
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
