"""Reads the trained heads that ship with the service: arrays only, never pickled objects."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sluice_guardrail.adapters.encoder import MATRICES, EncodingReader, LowRank, MiniLm
from sluice_guardrail.domain.hidden import HiddenHead
from sluice_guardrail.domain.ngrams import BITS, LinearHead
from sluice_guardrail.domain.second import Cascade, Network
from sluice_guardrail.domain.units import Surroundings

PLACES: tuple[Surroundings, ...] = ("prose", "table", "code")
DIMENSIONS = 384
_FOLDER = files("sluice_guardrail") / "weights"


def load_head(name: str) -> LinearHead:
    """Return a trained head.

    Raises:
        ValueError: the file does not hold what it should.
    """
    return _head(name, _arrays(name))


def load_cascade(open_encoder: Callable[[Mapping[int, LowRank]], MiniLm | None]) -> Cascade:
    """Return the two readings of prompts; without the encoder the first one reads alone.

    Raises:
        ValueError: a file does not hold what it should.
    """
    head, arrays = load_head("injection"), _arrays("second")
    network, encoder = _network(arrays), open_encoder(low_rank_changes(arrays))
    return Cascade(head, network, None if encoder is None else EncodingReader(encoder, network))


def _network(arrays: Mapping[str, NDArray[Any]]) -> Network:
    filters, filters_bias, filters_out, inner, inner_bias, inner_out = parts = [
        arrays[name].astype(np.float32)
        for name in ("filters", "filters_bias", "filters_out", "inner", "inner_bias", "inner_out")
    ]
    numbers = [float(value) for value in arrays["numbers"]]
    finite = all(np.isfinite(part).all() for part in (*parts, arrays["numbers"]))
    fitting = all(
        layer.shape == (DIMENSIONS, len(out)) and bias.shape == out.shape for layer, bias, out in (parts[:3], parts[3:])
    )
    if not finite or not fitting or len(numbers) != 6:
        raise ValueError("The network of the second reading does not hold what it should.")
    return Network(filters, filters_bias, filters_out, inner, inner_bias, inner_out, *numbers)


def low_rank_changes(arrays: Mapping[str, NDArray[Any]]) -> dict[int, LowRank]:
    """Return what is added to the encoder's matrices, by their number: none where it is used as it comes.

    Raises:
        ValueError: the arrays do not hold what they should.
    """
    found = {
        at: LowRank(*(arrays[f"{part}_{at}"].astype(np.float32) for part in ("down", "up")))
        for at in range(MATRICES)
        if f"down_{at}" in arrays
    }
    if not all(
        np.isfinite(one.down).all() and np.isfinite(one.up).all() and one.down.shape[1] == len(one.up)
        for one in found.values()
    ):
        raise ValueError("What is added to the encoder does not hold what it should.")
    return found


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
