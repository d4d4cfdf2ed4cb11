"""The finetune-worker's metrics."""

from typing import Literal

from sluice.telemetry.metrics import MetricRegistry


class ApiMetrics:
    """Counts what the API takes in."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.created = registry.counter("sluice_finetune_jobs_created_total", "Jobs created")
        self.cancelled = registry.counter("sluice_finetune_jobs_cancelled_total", "Jobs cancelled by their owners")
        self.sent = registry.counter("sluice_finetune_jobs_sent_total", "Waiting jobs put into the queue by the sweep")
        self.waiting = registry.gauge("sluice_finetune_jobs_open_count", "Jobs that have not ended")


class WorkerMetrics:
    """Counts what the worker does."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._runs = registry.counter("sluice_finetune_job_runs_total", "Runs of jobs by how they ended", ("outcome",))
        self._seconds = registry.histogram("sluice_finetune_job_run_seconds", "Time of one run of a job")
        for outcome in ("ended", "skipped", "lost", "given_up"):
            self._runs.labels(outcome)

    def ran(self, outcome: Literal["ended", "skipped", "lost", "given_up"], seconds: float) -> None:
        """Note one run."""
        self._runs.labels(outcome).inc()
        self._seconds.observe(seconds)
