"""What an engine's own counters grew by, as ours."""

from sluice_inference.domain.readings import Reading, increase
from sluice_inference.metrics import EngineMetrics


def learn(metrics: EngineMetrics, engine: str, before: Reading, after: Reading) -> None:
    """Add what the counters of an engine grew by between two looks."""
    metrics.prefix_asked.labels(engine).inc(increase(before.prefix_asked, after.prefix_asked))
    metrics.prefix_found.labels(engine).inc(increase(before.prefix_found, after.prefix_found))
    known = {phase: (seconds, count) for phase, seconds, count in before.phases}
    for phase, seconds, count in after.phases:
        earlier = known.get(phase, (None, None))
        metrics.phase_seconds.labels(engine, phase).inc(increase(earlier[0], seconds))
        metrics.phase_count.labels(engine, phase).inc(increase(earlier[1], count))
