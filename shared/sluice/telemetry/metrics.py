"""Prometheus metrics on a registry of one application, so that two applications can live in one test."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

OTHER = "other"
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as it was declared; deploy checks hold dashboards and rules against these."""

    name: str
    kind: str
    labels: tuple[str, ...]


class MetricRegistry:
    """Declares metrics and renders them; a name can be declared once."""

    def __init__(self, *, process: bool = False) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.declared: list[Declared] = []
        if process:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """Declare a counter; its name ends in `_total`."""
        self._declare(name, "counter", labels)
        return Counter(name, help_text, tuple(labels), registry=self.registry)

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        """Declare a gauge; its name ends in its unit."""
        self._declare(name, "gauge", labels)
        return Gauge(name, help_text, tuple(labels), registry=self.registry)

    def histogram(
        self, name: str, help_text: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = SECONDS_BUCKETS
    ) -> Histogram:
        """Declare a histogram; its name ends in its unit."""
        self._declare(name, "histogram", labels)
        return Histogram(name, help_text, tuple(labels), registry=self.registry, buckets=tuple(buckets))

    def render(self) -> tuple[bytes, str]:
        """Return the exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _declare(self, name: str, kind: str, labels: Sequence[str]) -> None:
        self.declared.append(Declared(name, kind, tuple(labels)))


def closed(value: str, allowed: Collection[str]) -> str:
    """Return `value` if it belongs to the closed set of a label, else `other`."""
    return value if value in allowed else OTHER
