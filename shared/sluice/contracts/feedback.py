"""Feedback on an interaction, and the event that tells others of it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sluice.contracts.base import Metadata, Reply, Request

FeedbackType = Literal["thumbs", "rating", "text", "correction"]


class FeedbackCreate(Request):
    """Say something about an interaction; exactly the field that `feedback_type` names is given.

    `interaction_id` is the `x-request-id` of the answer.
    """

    interaction_id: Annotated[str, Field(min_length=1, max_length=200)]
    feedback_type: FeedbackType
    thumbs: Literal["up", "down"] | None = None
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    correction: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    metadata: Metadata = {}


class FeedbackEntry(Reply):
    """The handbook's feedback entry (F315)."""

    id: str
    object: Literal["feedback"] = "feedback"
    interaction_id: str
    timestamp: float
    feedback_type: FeedbackType
    raw_feedback: str
    processed_feedback: dict[str, Any]
    metadata: Metadata = {}


class FeedbackRecorded(Reply):
    """Event: feedback was stored. It carries ids; the text stays in the feedback service."""

    v: Literal[1] = 1
    event_id: str
    feedback_id: str
    interaction_id: str
    tenant: str
    feedback_type: FeedbackType
    at: float
