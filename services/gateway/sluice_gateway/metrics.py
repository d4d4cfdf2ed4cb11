"""The gateway's metrics, declared once; the `model` label holds names of the routing snapshot only, else `other`."""

from prometheus_client import Counter, Gauge, Histogram

from sluice.telemetry.metrics import MetricRegistry

_TTFT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class GatewayMetrics:
    """All metrics of the request path on one registry."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.requests: Counter = registry.counter(
            "sluice_gateway_requests_total",
            "Requests answered, by public endpoint, model and HTTP status.",
            ("endpoint", "model", "status"),
        )
        self.duration: Histogram = registry.histogram(
            "sluice_gateway_request_duration_seconds",
            "Time from the request's head to the answer's last byte.",
            ("endpoint", "model"),
            buckets=_DURATION_BUCKETS,
        )
        self.ttft: Histogram = registry.histogram(
            "sluice_gateway_time_to_first_token_seconds",
            "Time from the request's head to the first byte of a streamed answer.",
            ("model",),
            buckets=_TTFT_BUCKETS,
        )
        self.tokens: Counter = registry.counter(
            "sluice_gateway_tokens_total",
            "Tokens that were billed, by direction (input, output).",
            ("model", "direction"),
        )
        self.in_flight: Gauge = registry.gauge(
            "sluice_gateway_in_flight_requests", "Requests that are being answered now."
        )
        self.upstream_errors: Counter = registry.counter(
            "sluice_gateway_upstream_errors_total",
            "Attempts on a deployment that failed, by model and reason.",
            ("model", "reason"),
        )
        self.fallbacks: Counter = registry.counter(
            "sluice_gateway_fallbacks_total",
            "Requests that were answered by another deployment or model than the first choice.",
            ("model",),
        )
        self.stage_errors: Counter = registry.counter(
            "sluice_gateway_stage_errors_total",
            "Calls of the request path to other services that failed, by stage.",
            ("stage",),
        )
        self.snapshot_version: Gauge = registry.gauge(
            "sluice_gateway_routing_snapshot_version", "Version of the routing snapshot in use."
        )
