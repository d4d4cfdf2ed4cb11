"""What an engine's own counters grew by, as ours, and what its hardware made of it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from sluice_inference.domain.ports import Energy
from sluice_inference.domain.readings import Reading, increase
from sluice_inference.domain.specs import EngineSpec
from sluice_inference.domain.utilisation import Rates, joules_between, mbu, mfu
from sluice_inference.metrics import EngineMetrics


def learn(metrics: EngineMetrics, engine: str, before: Reading, after: Reading) -> None:
    """Add what the counters of an engine grew by between two looks; one that does not count a thing has no series of it, since 0 would be a lie."""
    if after.prefix_asked is not None:
        metrics.prefix_asked.labels(engine).inc(increase(before.prefix_asked, after.prefix_asked))
    if after.prefix_found is not None:
        metrics.prefix_found.labels(engine).inc(increase(before.prefix_found, after.prefix_found))
    known = {phase: (seconds, count) for phase, seconds, count in before.phases}
    for phase, seconds, count in after.phases:
        earlier = known.get(phase, (None, None))
        metrics.phase_seconds.labels(engine, phase).inc(increase(earlier[0], seconds))
        metrics.phase_count.labels(engine, phase).inc(increase(earlier[1], count))


def show_kv_used(metrics: EngineMetrics, engine: str, used: float | None) -> None:
    """Say which share of its KV cache an engine uses (0 to 1), and nothing when it does not tell or does not run."""
    if used is not None:
        metrics.kv_used.labels(engine).set(used)
        return
    with suppress(KeyError):
        metrics.kv_used.remove(engine)


def learn_use(metrics: EngineMetrics, spec: EngineSpec, rates: Rates) -> None:
    """Say how much of its hardware an engine used between two looks, if its hardware is described."""
    if spec.hardware is not None:
        metrics.mfu.labels(spec.id).set(mfu(spec.hardware, rates))
        metrics.mbu.labels(spec.id).set(mbu(spec.hardware, rates))


class EnergyBook:
    """The energy of one engine: all of it as a metric, and joules for each token of an answer (F361).

    Engines count tokens when a request ends, so the energy of the time in which it worked is kept until they are counted; that of idle time belongs
    to no token.
    """

    def __init__(self, spec: EngineSpec, energy: Energy | None, metrics: EngineMetrics) -> None:
        self._spec = spec
        self._energy = energy
        self._metrics = metrics
        self._last: Mapping[str, float] = {}
        self._open = 0.0
        self.joules_per_token: float | None = None

    async def note(self, generated: float, *, busy: bool) -> None:
        """Read the counters; `generated` tokens were counted since the time before, `busy` tells whether requests run now."""
        if self._energy is None or not self._spec.energy_of:
            return
        now = await asyncio.to_thread(self._energy.joules, self._spec.energy_of)
        used, self._last = joules_between(self._last, now), now
        self._metrics.energy.labels(self._spec.id).inc(used)
        self._open += used
        if generated and self._open:
            self.joules_per_token = self._open / generated
        if generated or not busy:
            self._open = 0.0
