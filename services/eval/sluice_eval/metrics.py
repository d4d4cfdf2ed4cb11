"""The metrics of the eval service and its worker; labels are closed sets of the contract."""

from prometheus_client import Counter, Gauge, Histogram

from sluice.telemetry.metrics import MetricRegistry


class EvalMetrics:
    """Runs and items."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.runs: Counter = registry.counter("sluice_eval_runs_total", "Runs that ended", ("status",))
        self.running: Gauge = registry.gauge("sluice_eval_runs_running", "Runs that this worker does now")
        self.items: Counter = registry.counter(
            "sluice_eval_items_total", "Items that have a result", ("scorer", "outcome")
        )
        self.seconds: Histogram = registry.histogram(
            "sluice_eval_item_duration_seconds", "Time from a question to the end of its answer"
        )
        self.retries: Counter = registry.counter(
            "sluice_eval_retries_total", "Questions asked again because the gateway was busy or away"
        )
        self.resent: Counter = registry.counter(
            "sluice_eval_runs_resent_total", "Runs sent to the workers again by the sweep"
        )
