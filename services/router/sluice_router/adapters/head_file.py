"""Keeps trained classifiers in files: arrays only, never pickled objects."""

import hashlib
from pathlib import Path

import numpy as np

from sluice_router.domain.classify.head import WORD_BITS, Head, Scaling


def save(head: Head, path: Path) -> str:
    """Write a classifier in one step and return the hash of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp.npz")
    np.savez_compressed(
        scratch,
        classes=np.array(head.classes),
        mean=head.scaling.mean,
        spread=head.scaling.spread,
        rarity=head.scaling.rarity,
        weights=head.weights.astype(np.float16),
        bias=head.bias,
        numbers=np.array([head.scaling.word_scale, head.temperature, head.floor]),
    )
    scratch.replace(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(path: Path) -> Head:
    """Read a classifier.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not hold what it should.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        try:
            classes = tuple(str(name) for name in arrays["classes"])
            mean, spread, rarity, bias = (
                arrays[name].astype(np.float32) for name in ("mean", "spread", "rarity", "bias")
            )
            weights = arrays["weights"].astype(np.float32)
            word_scale, temperature, floor = (float(value) for value in arrays["numbers"])
        except KeyError as exc:
            raise ValueError(f"{path.name} lacks {exc}.") from exc
    shape = (len(mean) + (1 << WORD_BITS), len(classes))
    if weights.shape != shape or rarity.shape != (1 << WORD_BITS,) or not np.isfinite(weights).all():
        raise ValueError(f"{path.name} does not hold {shape[0]} x {shape[1]} finite weights.")
    return Head(classes, Scaling(mean, spread, rarity, word_scale), weights, bias, temperature, floor)
