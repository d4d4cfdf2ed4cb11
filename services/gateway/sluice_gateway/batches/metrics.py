"""Metrics of files and batches."""

from collections.abc import Iterator
from contextlib import contextmanager

from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.domain.quotas import QuotaReached

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class BatchApiMetrics:
    """What the gateway process counts."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.open = registry.gauge("sluice_gateway_batches_open", "Batches that have not ended.")
        self.created = registry.counter("sluice_gateway_batches_created_total", "Batches made.")
        self.sent = registry.counter("sluice_gateway_batches_sent_total", "Batches put into the workers' queue again.")
        self.uploaded_bytes = registry.counter("sluice_gateway_files_uploaded_bytes_total", "Bytes of uploaded files.")
        self.removed = registry.counter("sluice_gateway_files_removed_total", "Files removed because they had expired.")
        self.file_bytes = registry.gauge("sluice_gateway_file_bytes", "Bytes of all files of all tenants.")
        self.quota_share = registry.gauge(
            "sluice_gateway_quota_highest_share",
            "How much the organisation that has most of a quota uses of it (1: all), by quota (file_bytes, unfinished_batches).",
            ("quota",),
        )
        self.quota_refusals = registry.counter(
            "sluice_gateway_quota_refusals_total", "Uploads and batches that a quota refused, by quota.", ("quota",)
        )

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Count what a quota refuses in the block."""
        try:
            yield
        except QuotaReached as exc:
            self.quota_refusals.labels(exc.quota).inc()
            raise


class BatchWorkerMetrics:
    """What the worker process counts."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.running = registry.gauge("sluice_gateway_batches_running", "Batches that this worker has in hand.")
        self.under_way = registry.gauge(
            "sluice_gateway_batch_requests_under_way", "Requests of batches that are being answered now."
        )
        self.answers = registry.counter(
            "sluice_gateway_batch_answers_total", "Lines of batches that have their answer.", ("outcome",)
        )
        self.retries = registry.counter(
            "sluice_gateway_batch_retries_total", "Lines of batches that are asked again, by reason.", ("reason",)
        )
        self.ended = registry.counter(
            "sluice_gateway_batches_ended_total", "Batches that ended, by status.", ("status",)
        )
        self.seconds = registry.histogram(
            "sluice_gateway_batch_request_seconds", "Time of one request of a batch.", buckets=_SECONDS
        )
