"""Trained classifiers as bytes and back: arrays only, never pickled objects."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice_router.domain.classify.gain import GainHead
from sluice_router.domain.classify.head import WORD_BITS, Head, Scaling

Arrays = Mapping[str, NDArray[Any]]


def packed(head: Head | GainHead) -> bytes:
    """Return a classifier as bytes."""
    arrays = _of_classes(head) if isinstance(head, Head) else _of_gain(head)
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, **arrays)
    return out.getvalue()


def _of_classes(head: Head) -> Arrays:
    scaling = head.scaling
    return {
        "mean": scaling.mean,
        "spread": scaling.spread,
        "rarity": scaling.rarity,
        "weights": head.weights.astype(np.float16),
        "classes": np.array(head.classes),
        "bias": head.bias,
        "numbers": np.array([scaling.word_scale, head.temperature, head.floor]),
    }


def _of_gain(head: GainHead) -> Arrays:
    return {
        "examples": head.examples.astype(np.float16),
        "weights": head.weights,
        "bias": np.array(head.bias),
        "expected": head.expected,
    }


def unpacked(content: bytes) -> Head | GainHead:
    """Return the classifier that bytes hold.

    Raises:
        ValueError: they hold none.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return _head(arrays) if "classes" in arrays else _gain_head(arrays)
    except KeyError as exc:
        raise ValueError(f"It lacks {exc}.") from exc
    except (OSError, EOFError, zipfile.BadZipFile) as exc:
        raise ValueError(f"It cannot be read ({exc}).") from exc


def _head(arrays: Arrays) -> Head:
    classes = tuple(str(name) for name in arrays["classes"])
    word_scale, temperature, floor = (float(value) for value in arrays["numbers"])
    scaling = _scaling(arrays, word_scale)
    weights = _weights(arrays, (len(scaling.mean) + (1 << WORD_BITS), len(classes)))
    return Head(classes, scaling, weights, arrays["bias"].astype(np.float32), temperature, floor)


def _gain_head(arrays: Arrays) -> GainHead:
    examples = arrays["examples"].astype(np.float32)
    weights = _weights(arrays, (len(examples),))
    return GainHead(examples, weights, float(arrays["bias"]), np.sort(arrays["expected"].astype(np.float32)))


def _scaling(arrays: Arrays, word_scale: float) -> Scaling:
    mean, spread, rarity = (arrays[name].astype(np.float32) for name in ("mean", "spread", "rarity"))
    if rarity.shape != (1 << WORD_BITS,) or mean.shape != spread.shape:
        raise ValueError("Its parts do not fit each other.")
    return Scaling(mean, spread, rarity, word_scale)


def _weights(arrays: Arrays, shape: tuple[int, ...]) -> NDArray[np.float32]:
    weights = arrays["weights"].astype(np.float32)
    if weights.shape != shape or not np.isfinite(weights).all():
        raise ValueError(f"It does not hold {' x '.join(map(str, shape))} finite weights.")
    return weights
