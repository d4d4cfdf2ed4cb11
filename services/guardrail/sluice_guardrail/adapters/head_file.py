"""Reads the trained heads that ship with the service: arrays only, never pickled objects."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice_guardrail.domain.hidden import HiddenHead
from sluice_guardrail.domain.ngrams import BITS, LinearHead
from sluice_guardrail.domain.units import Surroundings

PLACES: tuple[Surroundings, ...] = ("prose", "table", "code")
_FOLDER = files("sluice_guardrail") / "weights"


def load_head(name: str) -> LinearHead:
    """Return a trained head.

    Raises:
        ValueError: the file does not hold what it should.
    """
    return _head(name, _arrays(name))


def load_hidden_head() -> HiddenHead:
    """Return the head that finds wishes to an assistant in documents.

    Raises:
        ValueError: the file does not hold what it should.
    """
    arrays = _arrays("hidden")
    lowered = arrays["lowered"]
    if lowered.shape != (len(PLACES),) or not np.isfinite(lowered).all():
        raise ValueError(f"The head for documents does not hold {len(PLACES)} working points.")
    return HiddenHead(_head("hidden", arrays), dict(zip(PLACES, map(float, lowered), strict=True)))


def _arrays(name: str) -> Mapping[str, NDArray[Any]]:
    with (_FOLDER / f"{name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays.items())


def _head(name: str, arrays: Mapping[str, NDArray[Any]]) -> LinearHead:
    weights = arrays["weights"].astype(np.float32)
    bias, scale, shift, *more = (float(value) for value in arrays["head"])
    if weights.shape != (2**BITS,) or not np.isfinite(weights).all():
        raise ValueError(f"The weights of {name!r} are not {2**BITS} finite numbers.")
    return LinearHead(weights, bias, scale, shift, *more[:1])
