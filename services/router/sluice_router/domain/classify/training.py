"""Trains a classifier from example utterances, and says what it is worth on examples that it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluice_router.domain.classify.head import (
    WORD_BITS,
    Floats,
    Head,
    Scaling,
    energies,
    probabilities,
    word_features,
)

Ints = NDArray[np.int64]

REJECTED_SHARE = 0.01
"""Of texts that are in scope, so many may be taken for out of scope when the floor is set."""
FOLDS = 5
MANY = 3000
"""From so many examples on, one fifth is kept for calibration instead of five trainings."""
WORD_SCALE = 20.0
_DECAY = 1e-5
_ROUNDS = 60
_RATE = 0.02
_SPREAD_FLOOR = 1e-3
_TEMPERATURES = tuple(float(value) for value in np.geomspace(0.2, 5.0, 60))
_STEPS = 12
_BINS = 10


class Examples(NamedTuple):
    """Texts with the numbers of their classes and their embeddings; `strangers` are known to be out of scope."""

    classes: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Ints
    embeddings: Floats
    strangers: tuple[str, ...] = ()
    strange_embeddings: Floats | None = None


class CurvePoint(NamedTuple):
    """What one floor would do: of texts in scope the share that is taken for strangers, and that is classified rightly; of strangers that are found."""

    floor: float
    rejected: float
    in_scope_right: float
    strangers_found: float | None


class Bin(NamedTuple):
    """Of texts with about this confidence, the share that was right."""

    confidence: float
    accuracy: float
    texts: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """What held-out examples say: accuracy with the floor, `confusion[truth][said]`, calibration and the floor's curve.

    `calibration_error` is the mean distance between confidence and accuracy over the bins, by their counts.
    """

    accuracy: float
    rejected: float
    strangers_found: float | None
    confusion: Ints
    calibration: tuple[Bin, ...]
    calibration_error: float
    curve: tuple[CurvePoint, ...]


class Trained(NamedTuple):
    """A classifier and what it is worth."""

    head: Head
    assessment: Assessment


def train(examples: Examples, rejected_share: float = REJECTED_SHARE) -> Trained:
    """Train on all examples; temperature, floor and assessment come from trainings that left the assessed ones out.

    Raises:
        ValueError: fewer than two classes, or a class with fewer than five examples.
    """
    counts = np.bincount(examples.labels, minlength=len(examples.classes))
    if len(examples.classes) < 2 or counts.min() < FOLDS:
        raise ValueError(f"A classifier needs at least two classes, and each of them at least {FOLDS} examples.")
    rows, scores, strange = _held_out(examples)
    labels = examples.labels[rows]
    temperature = min(_TEMPERATURES, key=lambda value: _surprise(scores, labels, value))
    floor = float(np.quantile(energies(scores), rejected_share))
    whole = _fit(examples, np.arange(len(examples.texts)))
    head = Head(examples.classes, whole.scaling, whole.weights, whole.bias, temperature, floor)
    return Trained(head, assess(head, scores, labels, strange))


def assess(head: Head, scores: Floats, labels: Ints, strange: Floats | None = None) -> Assessment:
    """Say what a head's temperature and floor make of these scores."""
    said, inside = scores.argmax(axis=1), energies(scores) >= head.floor
    size = len(head.classes)
    confusion = np.zeros((size, size + 1), dtype=np.int64)
    np.add.at(confusion, (labels, np.where(inside, said, size)), 1)
    confidence = probabilities(scores, head.temperature).max(axis=1)
    bins = _bins(confidence, said == labels)
    return Assessment(
        accuracy=float(((said == labels) & inside).mean()),
        rejected=float((~inside).mean()),
        strangers_found=None if strange is None else float((energies(strange) < head.floor).mean()),
        confusion=confusion,
        calibration=bins,
        calibration_error=sum(abs(one.confidence - one.accuracy) * one.texts for one in bins) / len(labels),
        curve=_curve(scores, labels, strange),
    )


class _Fitted(NamedTuple):
    scaling: Scaling
    weights: Floats
    bias: Floats


def _held_out(examples: Examples) -> tuple[Ints, Floats, Floats | None]:
    # Every example is scored by a head that did not see it; each class is dealt evenly over the folds.
    order = np.random.default_rng(0).permutation(len(examples.texts))
    fold = np.empty(len(order), dtype=np.int64)
    for label in range(len(examples.classes)):
        mine = order[examples.labels[order] == label]
        fold[mine] = np.arange(len(mine)) % FOLDS
    rows, scores, strange = [], [], []
    for number in range(1 if len(order) >= MANY else FOLDS):
        fitted = _fit(examples, np.flatnonzero(fold != number))
        held = np.flatnonzero(fold == number)
        rows.append(held)
        scores.append(_scores(fitted, [examples.texts[row] for row in held], examples.embeddings[held]))
        if examples.strange_embeddings is not None and examples.strangers:
            strange.append(_scores(fitted, examples.strangers, examples.strange_embeddings))
    return np.concatenate(rows), np.concatenate(scores), np.concatenate(strange) if strange else None


def _scores(fitted: _Fitted, texts: Sequence[str], embeddings: Floats) -> Floats:
    found: Floats = fitted.scaling.apply(texts, embeddings) @ fitted.weights + fitted.bias
    return found


def _fit(examples: Examples, rows: Ints) -> _Fitted:
    texts = [examples.texts[row] for row in rows]
    scaling = scaling_of(texts, examples.embeddings[rows])
    data = scaling.apply(texts, examples.embeddings[rows])
    weights, bias = _softmax_regression(data, examples.labels[rows], len(examples.classes))
    return _Fitted(scaling, weights, bias)


def scaling_of(texts: Sequence[str], embeddings: Floats) -> Scaling:
    """Return how features of texts like these are scaled: embeddings to mean 0 and spread 1, words by their rarity."""
    counts = np.bincount(
        np.fromiter((feature for text in texts for feature in word_features(text)), dtype=np.int64),
        minlength=1 << WORD_BITS,
    )
    rarity = np.log((1 + len(texts)) / (1 + counts)).astype(np.float32)
    spread = embeddings.std(axis=0) + _SPREAD_FLOOR
    return Scaling(embeddings.mean(axis=0), spread.astype(np.float32), rarity, WORD_SCALE)


def _softmax_regression(data: Floats, labels: Ints, classes: int) -> tuple[Floats, Floats]:
    # All rows at once by Adam (Kingma and Ba 2015), stopped early; rare classes weigh as much as frequent ones.
    truth = np.eye(classes, dtype=np.float32)[labels]
    weight = (1.0 / np.bincount(labels, minlength=classes).clip(1))[labels].astype(np.float32)
    weight /= weight.sum()
    parts = [np.zeros((data.shape[1], classes), dtype=np.float32), np.zeros(classes, dtype=np.float32)]
    first = [np.zeros_like(part) for part in parts]
    second = [np.zeros_like(part) for part in parts]
    for step in range(1, _ROUNDS + 1):
        error = (probabilities(data @ parts[0] + parts[1]) - truth) * weight[:, None]
        for at, gradient in enumerate((data.T @ error + _DECAY * parts[0], error.sum(axis=0))):
            first[at] += 0.1 * (gradient - first[at])
            second[at] += 0.01 * (gradient**2 - second[at])
            size = np.sqrt(second[at] / (1 - 0.99**step)) + 1e-8
            parts[at] -= (_RATE / (1 - 0.9**step)) * first[at] / size
    return parts[0], parts[1]


def _surprise(scores: Floats, labels: Ints, temperature: float) -> float:
    chances = probabilities(scores, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(chances.clip(1e-12)).mean())


def _bins(confidence: Floats, right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    place = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    return tuple(
        Bin(float(confidence[place == at].mean()), float(right[place == at].mean()), int((place == at).sum()))
        for at in range(_BINS)
        if (place == at).any()
    )


def _curve(scores: Floats, labels: Ints, strange: Floats | None) -> tuple[CurvePoint, ...]:
    known, right = energies(scores), scores.argmax(axis=1) == labels
    floors = np.quantile(known, np.linspace(0, 0.2, _STEPS))
    return tuple(
        CurvePoint(
            float(floor),
            float((known < floor).mean()),
            float((right & (known >= floor)).mean()),
            None if strange is None else float((energies(strange) < floor).mean()),
        )
        for floor in floors
    )
