"""The memory of a process that has loaded what it needs."""

import gc

_GC_THRESHOLDS = (20_000, 20, 50)


def settle_memory() -> None:
    """Spare the garbage collector what is loaded by now, and have it look less often.

    What a service has loaded stays, and requests make few cycles: looking for them every 700 allocations, now and then in
    all that is loaded, costs more than it frees (measured: 8 % of a search's processor time; of the gateway's, docs/benchmarks.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
