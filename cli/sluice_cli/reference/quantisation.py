"""Weights and activations in few bits: symmetric by the largest value, in groups, and by calibrated ranges."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluice_cli.reference.attention import Floats

SCALE_BITS = 16
"""A scale or zero point is kept in half precision."""


class Quantised(NamedTuple):
    """Whole numbers and the scales that turn them back: x ≈ scale · (value - zero). `group` values share a scale."""

    values: NDArray[np.int32]
    scales: Floats
    zeros: NDArray[np.int32]
    bits: int
    group: int

    def restored(self) -> Floats:
        """Return the numbers that these stand for, in their first shape."""
        grouped = self.values.reshape(-1, self.group)
        return np.asarray((self.scales[:, None] * (grouped - self.zeros[:, None])).reshape(self.values.shape))

    @property
    def bits_per_value(self) -> float:
        """Bits that a value takes, with its part of the scale (and of the zero point, if there is one)."""
        return self.bits + SCALE_BITS * (2 if self.zeros.any() else 1) / self.group

    @property
    def bound(self) -> Floats:
        """The largest error of each group, if nothing was cut off: half a step."""
        return np.asarray(self.scales / 2)


def absmax(x: Floats, bits: int, group: int | None = None) -> Quantised:
    """Quantise symmetrically: scale = max |x| / (2^(bits-1) - 1) of each `group` values in a row (None: of all), rounded to the nearest.

    Dettmers et al., "LLM.int8()" (2022), section 2; in groups: Frantar et al., "GPTQ" (2023), section 4. No error is above half a scale.

    Raises:
        ValueError: bits are not from 2 to 8, or the last axis is not a multiple of the group.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits are from 2 to 8, not {bits}.")
    size = x.size if group is None else group
    if size < 1 or (group is not None and x.shape[-1] % group):
        raise ValueError(f"A row of {x.shape[-1]} values cannot be cut into groups of {group}.")
    top = 2 ** (bits - 1) - 1
    grouped = x.reshape(-1, size)
    scales = np.abs(grouped).max(axis=1) / top
    scales = np.where(scales > 0, scales, 1.0)
    values = np.rint(grouped / scales[:, None]).astype(np.int32).reshape(x.shape)
    return Quantised(values, scales, np.zeros(len(scales), dtype=np.int32), bits, size)


class Calibration(NamedTuple):
    """The smallest and largest activation that was seen; together with 0, so that 0 stays exact."""

    low: float
    high: float

    @classmethod
    def of(cls, batches: Iterable[Floats]) -> "Calibration":
        """Look at calibration batches (F253).

        Raises:
            ValueError: there is none.
        """
        ranges = [(float(batch.min()), float(batch.max())) for batch in batches]
        if not ranges:
            raise ValueError("Calibration needs at least one batch of activations.")
        return cls(min(0.0, *(low for low, _ in ranges)), max(0.0, *(high for _, high in ranges)))


def affine(x: Floats, seen: Calibration, bits: int = 8) -> Quantised:
    """Quantise activations with a calibrated range: scale = (high - low) / (2^bits - 1), zero = round(-low / scale); values outside are cut off.

    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (2018), section 2.1. With 8 bits the
    divisor is 255 (F253).
    """
    top = 2**bits - 1
    scale = (seen.high - seen.low) / top or 1.0
    zero = round(-seen.low / scale)
    values = np.clip(np.rint(x / scale) + zero, 0, top).astype(np.int32)
    return Quantised(values, np.array([scale]), np.array([zero], dtype=np.int32), bits, x.size)


def relative_error(x: Floats, restored: Floats) -> float:
    """Return ‖x - x̂‖ / ‖x‖."""
    return float(np.linalg.norm(x - restored) / np.linalg.norm(x))
