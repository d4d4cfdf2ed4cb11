"""Reads the trained heads that ship with the service: arrays only, never pickled objects."""

from importlib.resources import files

import numpy as np

from sluice_guardrail.domain.ngrams import BITS, LinearHead

_FOLDER = files("sluice_guardrail") / "weights"


def load_head(name: str) -> LinearHead:
    """Return a trained head.

    Raises:
        ValueError: the file does not hold what it should.
    """
    with (_FOLDER / f"{name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        weights = arrays["weights"].astype(np.float32)
        bias, scale, shift = (float(value) for value in arrays["head"])
    if weights.shape != (2**BITS,) or not np.isfinite(weights).all():
        raise ValueError(f"The weights of {name!r} are not {2**BITS} finite numbers.")
    return LinearHead(weights, bias, scale, shift)
