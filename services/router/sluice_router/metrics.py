"""The router's metrics."""

from typing import get_args

from sluice.contracts.routing import SignalName
from sluice.telemetry.metrics import MetricRegistry

OUTCOMES = ("candidate", "fallback", "largest_context", "last_resort", "refused")

READINGS = ("recognised", "out_of_scope", "not_confident", "broken")

READ = {"intent": READINGS, "domain": READINGS, "language": READINGS[::2], "difficulty": ("strong", "weak", "broken")}


class RouterMetrics:
    """Decisions, signals, splits, probes, publications and reloads."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.decisions = registry.counter("sluice_router_decisions_total", "Answers to POST /route", ("outcome",))
        self.signals = registry.counter(
            "sluice_router_signals_against_total",
            "Deployments not taken, by the signal that spoke against",
            ("signal",),
        )
        self.splits = registry.counter(
            "sluice_router_split_total",
            "Decisions of routes with a split, by the model assigned and whether it was the one named",
            ("route", "assigned", "result"),
        )
        self.readings = registry.counter(
            "sluice_router_readings_total",
            "Texts that were read for a route, by the signal and what it said (broken: the classifier gave no answer)",
            ("signal", "outcome"),
        )
        for signal, outcomes in READ.items():
            for outcome in outcomes:
                self.readings.labels(signal, outcome)
        self.held_back = registry.gauge(
            "sluice_router_registry_held_back", "Objects made through the API that do not fit models.yaml"
        )
        self.probes = registry.counter("sluice_router_probes_total", "Health probes of deployments", ("result",))
        self.listings = registry.counter(
            "sluice_router_listings_total", "Questions to providers which models they offer", ("result",)
        )
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
        for signal in get_args(SignalName):
            self.signals.labels(signal)
        for result in ("ok", "failed"):
            self.probes.labels(result)
            self.listings.labels(result)
            self.publications.labels(result)
            self.reloads.labels(result)
