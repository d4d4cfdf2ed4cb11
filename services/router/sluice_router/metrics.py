"""The router's metrics."""

from sluice.telemetry.metrics import MetricRegistry

OUTCOMES = ("candidate", "fallback", "largest_context", "last_resort", "refused")


class RouterMetrics:
    """Decisions, probes, publications and reloads."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.decisions = registry.counter("sluice_router_decisions_total", "Answers to POST /route", ("outcome",))
        self.probes = registry.counter("sluice_router_probes_total", "Health probes of deployments", ("result",))
        self.deployments = registry.gauge("sluice_router_deployments", "Deployments by health", ("health",))
        self.publications = registry.counter("sluice_router_publications_total", "Snapshots published", ("result",))
        self.version = registry.gauge("sluice_router_snapshot_version", "Version of the current snapshot")
        self.reloads = registry.counter("sluice_router_reloads_total", "Readings of a changed models.yaml", ("result",))
        self.config_valid = registry.gauge(
            "sluice_router_config_valid", "1 while models.yaml as it lies there is in force"
        )
        self.publishes = registry.gauge("sluice_router_publisher", "1 while this router is the one that publishes")
        for outcome in OUTCOMES:
            self.decisions.labels(outcome)
        for result in ("ok", "failed"):
            self.probes.labels(result)
            self.publications.labels(result)
            self.reloads.labels(result)
