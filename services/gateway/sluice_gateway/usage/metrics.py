"""The metrics of usage on its way to the database."""

from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.usage.journal import Journal


class UsageMetrics:
    """What the gateway process tells of its journal and shipper; sizes are read from the journal when scraped."""

    def __init__(self, registry: MetricRegistry, journal: Journal) -> None:
        self.shipped = registry.counter(
            "sluice_gateway_usage_shipped_total", "Usage records appended to the Redis stream"
        )
        self.ship_failures = registry.counter(
            "sluice_gateway_usage_ship_failures_total", "Attempts to ship usage that Redis did not answer"
        )
        gauges = (
            (
                "sluice_gateway_journal_pending_bytes",
                "Usage on disk that is not shipped yet",
                lambda: journal.pending_bytes,
            ),
            ("sluice_gateway_journal_segments", "Segment files of the usage journal", lambda: journal.segments),
            (
                "sluice_gateway_journal_accepting",
                "1 while usage can be recorded, 0 while requests are refused",
                lambda: journal.accepting,
            ),
            (
                "sluice_gateway_journal_appended_records",
                "Usage records written since the start",
                lambda: journal.appended,
            ),
            ("sluice_gateway_journal_torn_records", "Torn records met since the start", lambda: journal.torn),
        )
        for name, help_text, value in gauges:
            registry.gauge(name, help_text).set_function(value)


class ConsumerMetrics:
    """What the consumer process tells."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.stored = registry.counter("sluice_gateway_usage_stored_total", "Usage records written to the database")
        self.repeated = registry.counter(
            "sluice_gateway_usage_repeated_total", "Usage records that were in the database already"
        )
        self.dead = registry.counter(
            "sluice_gateway_usage_dead_letters_total", "Usage records moved to the dead-letter stream"
        )
        self.database_waits = registry.counter(
            "sluice_gateway_usage_database_waits_total", "Batches that had to wait for the database"
        )
