"""One model over several devices: a layer's columns, or the layers one after the other."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sluice_cli.reference.attention import Floats

Stage = Callable[[Floats], Floats]


def column_parallel(x: Floats, weight: Floats, devices: int) -> list[Floats]:
    """Return what each device makes of x (rows, in) with its own columns of a weight (in, out): side by side they are x · weight.

    Every device reads the whole input, and none needs another's result: nothing is sent.

    Raises:
        ValueError: the columns cannot be cut evenly.
    """
    if devices < 1 or weight.shape[1] % devices:
        raise ValueError(f"An inner width of {weight.shape[1]} cannot be cut evenly over {devices} devices.")
    return [x @ columns for columns in np.split(weight, devices, axis=1)]


def row_parallel(parts: Sequence[Floats], weight: Floats) -> Floats:
    """Return x · weight (in, out) of an input that lies over the devices in columns, each of which holds the same rows of the weight.

    Each device's product is as large as the result; their sum (an all-reduce) ends it.

    Raises:
        ValueError: the rows cannot be cut evenly.
    """
    if not parts or weight.shape[0] % len(parts):
        raise ValueError(f"{weight.shape[0]} rows cannot be cut evenly over {len(parts)} devices.")
    pieces = np.split(weight, len(parts), axis=0)
    return np.asarray(sum(part @ rows for part, rows in zip(parts, pieces, strict=True)))


def tensor_parallel(x: Floats, up: Floats, down: Floats, devices: int) -> Floats:
    """Return max(0, x · up) · down with the inner width cut over devices; one sum over devices ends it (F259).

    `up` is cut in columns and `down` in rows, so that the activation between them never travels: Shoeybi et al., "Megatron-LM" (2019), section 3.

    Raises:
        ValueError: the inner width is not a multiple of the number of devices.
    """
    return row_parallel([np.maximum(0.0, part) for part in column_parallel(x, up, devices)], down)


def all_reduce_bytes(values: int, devices: int, bytes_each: int = 2) -> float:
    """Return how many bytes each device sends in a ring's sum of so many numbers: 2 (d - 1) / d of them (Patarasuk and Yuan, 2009)."""
    return 2 * (devices - 1) / devices * values * bytes_each


class Pipelined(NamedTuple):
    """The output, and for each tick which micro-batch each stage worked on (None: it waited)."""

    output: Floats
    schedule: tuple[tuple[int | None, ...], ...]

    @property
    def bubble(self) -> float:
        """The share of stages' time in which they waited."""
        slots = [slot for tick in self.schedule for slot in tick]
        return sum(slot is None for slot in slots) / len(slots)


def pipeline(x: Floats, stages: Sequence[Stage], micro_batches: int) -> Pipelined:
    """Send a batch (rows, …) through stages in micro-batches: at each tick every stage works on another one (F260, corrected).

    What comes out is put together again along the batch. With s stages and m micro-batches it takes m + s - 1 ticks, and (s - 1) / (m + s - 1) of all
    slots are empty: Huang et al., "GPipe" (2019), section 2.3.

    Raises:
        ValueError: there is no stage, or the batch cannot be cut into so many parts.
    """
    if not stages or not 1 <= micro_batches <= len(x):
        raise ValueError(f"A batch of {len(x)} rows cannot go through {len(stages)} stages in {micro_batches} parts.")
    parts = list(np.array_split(x, micro_batches, axis=0))
    schedule = []
    for tick in range(micro_batches + len(stages) - 1):
        working = [tick - index if 0 <= tick - index < micro_batches else None for index in range(len(stages))]
        for stage, part in zip(stages, working, strict=True):
            if part is not None:
                parts[part] = stage(parts[part])
        schedule.append(tuple(working))
    return Pipelined(np.concatenate(parts, axis=0), tuple(schedule))
