"""The feedback service's metrics."""

from typing import get_args

from sluice.contracts.feedback import FeedbackType, ReviewReason
from sluice.telemetry.metrics import MetricRegistry

STREAMS = ("usage", "feedback")


class FeedbackMetrics:
    """Entries, their events, reviews, and what the consumers did."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.recorded = registry.counter("sluice_feedback_recorded_total", "Entries stored", ("feedback_type",))
        self.negative = registry.counter(
            "sluice_feedback_negative_total", "Entries that are a thumbs-down or a rating below 3", ("feedback_type",)
        )
        self.published = registry.counter("sluice_feedback_events_published_total", "Events brought to their stream")
        self.publish_failures = registry.counter(
            "sluice_feedback_publish_failures_total", "Attempts to publish events that failed; they are repeated"
        )
        self.waiting = registry.gauge("sluice_feedback_waiting_events", "Events stored and not yet published")
        self.reviews = registry.counter("sluice_feedback_reviews_opened_total", "Reviews opened", ("reason",))
        self.interactions = registry.counter(
            "sluice_feedback_interactions_total", "Interactions that usage told of for the first time"
        )
        self.dead_letters = registry.counter(
            "sluice_feedback_dead_letters_total", "Events that could not be handled", ("stream",)
        )
        for kind in get_args(FeedbackType):
            self.recorded.labels(kind)
        for kind in ("thumbs", "rating"):
            self.negative.labels(kind)
        for reason in get_args(ReviewReason):
            self.reviews.labels(reason)
        for stream in STREAMS:
            self.dead_letters.labels(stream)
