"""Metrics of responses in the background."""

from sluice.telemetry.metrics import MetricRegistry

_SECONDS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


class BackgroundMetrics:
    """What the worker process counts."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.unfinished = registry.gauge(
            "sluice_gateway_background_unfinished",
            "Responses in the background, of all workers, that have no answer yet.",
        )
        self.under_way = registry.gauge(
            "sluice_gateway_background_under_way", "Responses in the background that this worker has in hand."
        )
        self.retries = registry.counter(
            "sluice_gateway_background_retries_total",
            "Responses in the background that are asked for again, by reason.",
            ("reason",),
        )
        self.ended = registry.counter(
            "sluice_gateway_background_ended_total",
            "Responses in the background that a worker has brought to their end, by status.",
            ("status",),
        )
        self.seconds = registry.histogram(
            "sluice_gateway_background_seconds",
            "Time from the request to the end of a response in the background.",
            buckets=_SECONDS,
        )
