"""Feedback on an interaction, the event that tells others of it, and the reviews that it opens."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sluice.contracts.base import Metadata, Reply, Request
from sluice.contracts.gateway import PromptName
from sluice.contracts.guard import HallucinationCause
from sluice.contracts.paging import PageQuery

FeedbackType = Literal["thumbs", "rating", "text", "correction"]
ReviewReason = Literal["negative_thumbs", "low_rating", "critical_answer"]
ReviewDecision = Literal["approved", "rejected", "corrected"]
ReviewStatus = Literal["open", "done"]

# Databases refuse the NUL character, so a text that holds one is the caller's mistake.
_NO_NUL = r"^[^\x00]*$"
InteractionId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Remark = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=_NO_NUL)]
Correction = Annotated[str, StringConstraints(min_length=1, max_length=100_000, pattern=_NO_NUL)]
UnixSeconds = Annotated[float, Field(ge=0, le=253_402_300_799, allow_inf_nan=False)]


class FeedbackCreate(Request):
    """Say something about an interaction; exactly the field that `feedback_type` names is given.

    `interaction_id` is the `x-request-id` of the answer.
    """

    interaction_id: InteractionId
    feedback_type: FeedbackType
    thumbs: Literal["up", "down"] | None = None
    rating: Annotated[int, Field(ge=1, le=5, strict=True)] | None = None
    text: Remark | None = None
    correction: Correction | None = None
    metadata: Metadata = {}

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        given = [name for name in ("thumbs", "rating", "text", "correction") if getattr(self, name) is not None]
        if given != [self.feedback_type]:
            raise ValueError(
                f"feedback of type '{self.feedback_type}' needs the field '{self.feedback_type}' and no other value; "
                f"given: {', '.join(given) or 'none'}"
            )
        return self

    @property
    def value(self) -> str | int:
        """The one value that was given."""
        found: str | int = getattr(self, self.feedback_type)
        return found


class FeedbackEntry(Reply):
    """The handbook's feedback entry (F315).

    `processed_feedback` holds only what was computed: `score` (0 to 1) and `negative` of thumbs and ratings,
    `escalate` of ratings, `characters`, `words` and `lines` of texts and corrections, and for all of them whether the
    interaction is known from usage (`interaction_known`) and which model answered it (`model`).
    """

    id: str
    object: Literal["feedback"] = "feedback"
    interaction_id: str
    timestamp: float
    feedback_type: FeedbackType
    raw_feedback: str
    processed_feedback: dict[str, Any]
    metadata: Metadata = {}


class FeedbackQuery(PageQuery):
    """Which entries of a list; `from` and `to` are unix seconds, from inclusive, to exclusive."""

    interaction_id: InteractionId | None = None
    type: FeedbackType | None = None
    from_: Annotated[UnixSeconds | None, Field(alias="from")] = None
    to: UnixSeconds | None = None


class FeedbackDeleted(Reply):
    """An entry is gone."""

    id: str
    object: Literal["feedback.deleted"] = "feedback.deleted"
    deleted: Literal[True] = True


class ThumbsSummary(Reply):
    """How many thumbs of each kind."""

    up: int = 0
    down: int = 0


class RatingSummary(Reply):
    """Ratings from 1 to 5; `mean`, `lowest` and `highest` are None without ratings, `escalate` counts those below 3."""

    count: int = 0
    mean: float | None = None
    lowest: int | None = None
    highest: int | None = None
    escalate: int = 0


class FeedbackSummary(Reply):
    """All feedback on one interaction, counted; `last_at` is unix seconds of the newest."""

    object: Literal["feedback.summary"] = "feedback.summary"
    interaction_id: str
    interaction_known: bool
    model: str | None = None
    count: int
    thumbs: ThumbsSummary
    rating: RatingSummary
    texts: int = 0
    corrections: int = 0
    last_at: float | None = None


class PromptFeedbackQuery(Request):
    """Feedback on answers to one prompt; `from` (inclusive) and `to` (exclusive) are unix seconds of the answers, not of what was said of them."""

    prompt: PromptName
    from_: Annotated[UnixSeconds | None, Field(alias="from")] = None
    to: UnixSeconds | None = None


class PromptVersionFeedback(Reply):
    """What people said of the answers of one version of a prompt.

    `answers` are those with thumbs or a rating, and `score` is the mean of theirs, 0 to 1 (thumbs 0 or 1, a rating (n - 1) / 4): an answer
    of which several things were said counts once, with their mean. `thumbs` and `ratings` count what was said; `rating` is the mean rating.
    """

    version: int
    answers: int
    score: float
    thumbs: ThumbsSummary
    ratings: int = 0
    rating: float | None = None


class PromptFeedback(Reply):
    """The versions of a prompt of whose answers people said something, newest first."""

    object: Literal["feedback.prompt"] = "feedback.prompt"
    prompt: str
    data: tuple[PromptVersionFeedback, ...]


class Review(Reply):
    """What a person should look at: a thumbs-down (F384), a rating below 3 (F383), or an answer that a guard policy calls critical (F046).

    A critical answer has no `feedback_id`, and `issues` names what the guard said of it. `decision` and `cause` (of a hallucination, F042)
    are what the person said.
    """

    id: str
    object: Literal["feedback.review"] = "feedback.review"
    feedback_id: str | None = None
    interaction_id: str
    reason: ReviewReason
    issues: tuple[str, ...] = ()
    status: ReviewStatus
    decision: ReviewDecision | None = None
    cause: HallucinationCause | None = None
    note: str | None = None
    reviewer: str | None = None
    created_at: float
    closed_at: float | None = None


class ReviewQuery(PageQuery):
    """Which reviews of a list."""

    status: ReviewStatus | None = None
    reason: ReviewReason | None = None
    interaction_id: InteractionId | None = None


class CloseReview(Request):
    """Say what was found: a `decision` on the answer, the `cause` if it is a hallucination, and a `note`; all stay with the review."""

    note: Remark | None = None
    decision: ReviewDecision | None = None
    cause: HallucinationCause | None = None


class FeedbackRecorded(Reply):
    """Event: feedback was stored. It carries ids; the text stays in the feedback service."""

    v: Literal[1] = 1
    event_id: str
    feedback_id: str
    interaction_id: str
    tenant: str
    feedback_type: FeedbackType
    at: float
