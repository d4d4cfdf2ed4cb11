"""What can go wrong in the feedback service."""

from sluice.errors import Conflict, NotFound, Unprocessable


class FeedbackNotFound(NotFound):
    """There is no such entry, or not for this tenant."""

    code, title = "feedback_not_found", "Feedback not found"


class ReviewNotFound(NotFound):
    """There is no such review, or not for this tenant."""

    code, title = "review_not_found", "Review not found"


class ReviewClosed(Conflict):
    """The review was closed before."""

    code, title = "review_closed", "Review closed"


class IdempotencyKeyReused(Unprocessable):
    """The Idempotency-Key was used for other feedback."""

    code, title = "idempotency_key_reused", "Idempotency key reused"
