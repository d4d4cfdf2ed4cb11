"""A piece of feedback on its way into the store."""

from dataclasses import dataclass, field

from sluice.contracts.feedback import FeedbackCreate, FeedbackRecorded
from sluice_feedback.domain.processing import Processed, digest_of, process


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key that a caller sent, and a digest of what it sent with it."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class NewEntry:
    """Feedback that is to be stored together with the event that tells of it."""

    id: str
    tenant: str
    timestamp: float
    given: FeedbackCreate
    processed: Processed
    event: FeedbackRecorded
    idempotency: IdempotencyKey | None = field(default=None)


def new_entry(
    given: FeedbackCreate, *, tenant: str, entry_id: str, event_id: str, now: float, idempotency_key: str | None
) -> NewEntry:
    """Return the entry of what a caller gave."""
    return NewEntry(
        id=entry_id,
        tenant=tenant,
        timestamp=now,
        given=given,
        processed=process(given),
        event=FeedbackRecorded(
            event_id=event_id,
            feedback_id=entry_id,
            interaction_id=given.interaction_id,
            tenant=tenant,
            feedback_type=given.feedback_type,
            at=now,
        ),
        idempotency=IdempotencyKey(idempotency_key, digest_of(given)) if idempotency_key else None,
    )
