"""What a host can take on, from the state of its engines."""

from collections.abc import Sequence
from typing import NamedTuple

from sluice.contracts.engine import Capacity, EngineStatus


class Host(NamedTuple):
    """The machine under the engines; sizes are bytes."""

    cores: int
    memory_total: int
    memory_available: int


def capacity_of(engines: Sequence[EngineStatus], host: Host) -> Capacity:
    """Sum up the engines that are ready; an engine that does not say how many slots it has adds none."""
    ready = [engine for engine in engines if engine.state == "ready"]
    slots = sum(engine.slots or 0 for engine in ready)
    free = sum(max(0, (engine.slots or 0) - (engine.slots_busy or 0)) for engine in ready)
    speeds = [engine.tokens_per_second for engine in ready if engine.tokens_per_second is not None]
    return Capacity(
        engines=len(engines),
        engines_ready=len(ready),
        slots=slots,
        slots_busy=slots - free,
        slots_free=free,
        requests_waiting=sum(engine.requests_waiting or 0 for engine in ready),
        tokens_per_second=sum(speeds) if speeds else None,
        cores=host.cores,
        memory_total_bytes=host.memory_total,
        memory_available_bytes=host.memory_available,
        engines_memory_bytes=sum(engine.memory_bytes or 0 for engine in engines),
    )
