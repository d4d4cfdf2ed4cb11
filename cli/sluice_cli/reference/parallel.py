"""One model over several devices: a layer's columns, or the layers one after the other."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sluice_cli.reference.attention import Floats

Stage = Callable[[Floats], Floats]


def tensor_parallel(x: Floats, up: Floats, down: Floats, devices: int) -> Floats:
    """Return max(0, x · up) · down with the inner width cut over devices; one sum over devices (an all-reduce) ends it (F259).

    Each device holds some columns of `up` and the same rows of `down`, so that the activation between them never travels: Shoeybi et al.,
    "Megatron-LM" (2019), section 3.

    Raises:
        ValueError: the inner width is not a multiple of the number of devices.
    """
    if devices < 1 or up.shape[1] % devices:
        raise ValueError(f"An inner width of {up.shape[1]} cannot be cut evenly over {devices} devices.")
    parts = [
        np.maximum(0.0, x @ columns) @ rows
        for columns, rows in zip(np.split(up, devices, axis=1), np.split(down, devices, axis=0), strict=True)
    ]
    return np.asarray(sum(parts))


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
