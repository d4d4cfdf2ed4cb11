"""The feedback service's REST API."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from sluice.auth import CallerDep
from sluice.contracts.feedback import (
    CloseReview,
    FeedbackCreate,
    FeedbackDeleted,
    FeedbackEntry,
    FeedbackQuery,
    FeedbackSummary,
    InteractionId,
    PromptFeedback,
    PromptFeedbackQuery,
    Review,
    ReviewQuery,
)
from sluice.contracts.paging import Page
from sluice.errors import DependencyUnavailable, Unauthorized, Unprocessable, problem_responses
from sluice.ids import new_id
from sluice_feedback.domain.entries import new_entry
from sluice_feedback.domain.errors import FeedbackNotFound, IdempotencyKeyReused, ReviewClosed, ReviewNotFound
from sluice_feedback.wiring import DepsDep

router = APIRouter(tags=["feedback"])
FeedbackId = Annotated[str, Path(pattern=r"^feedback_[0-9a-z]{24}$", description="id of an entry")]
ReviewId = Annotated[str, Path(pattern=r"^review_[0-9a-z]{24}$", description="id of a review")]
IdempotencyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x20-\x7e]{1,255}$",
        description="a value of your own for this piece of feedback: sent again, it is answered and not stored again",
    ),
]
_COMMON = (Unauthorized, DependencyUnavailable, Unprocessable)
_READ = problem_responses(*_COMMON)
_ONE = problem_responses(*_COMMON, FeedbackNotFound)
_CREATE = {200: {"model": FeedbackEntry, "description": "Stored before with the same Idempotency-Key"}} | (
    problem_responses(*_COMMON, IdempotencyKeyReused)
)
_CLOSE = problem_responses(*_COMMON, ReviewNotFound, ReviewClosed)


@router.post("/v1/feedback", status_code=201, summary="Say something about an answer", responses=_CREATE)
async def create_feedback(
    body: FeedbackCreate,
    caller: CallerDep,
    deps: DepsDep,
    response: Response,
    idempotency_key: IdempotencyHeader = None,
) -> FeedbackEntry:
    """Store thumbs, a rating, a text or a correction, and the event that tells other services of it."""
    new = new_entry(
        body,
        tenant=caller.tenant,
        entry_id=new_id("feedback"),
        event_id=new_id("event"),
        now=deps.clock.now(),
        idempotency_key=idempotency_key,
    )
    stored = await deps.entries.add(new)
    if not stored.created:
        response.status_code = 200
        return stored.entry
    deps.outbox.nudge()
    deps.metrics.recorded.labels(body.feedback_type).inc()
    if new.processed.negative:
        deps.metrics.negative.labels(body.feedback_type).inc()
    return stored.entry


@router.get("/v1/feedback", summary="List feedback", responses=_READ)
async def list_feedback(
    query: Annotated[FeedbackQuery, Query()], caller: CallerDep, deps: DepsDep
) -> Page[FeedbackEntry]:
    """Return entries, newest first unless `order=asc`."""
    return Page[FeedbackEntry].of(await deps.entries.page(caller.tenant, query), query.limit)


@router.get("/v1/feedback/summary", summary="Count the feedback on one interaction", responses=_READ)
async def summarize_feedback(
    interaction_id: Annotated[InteractionId, Query(description="the x-request-id of the answer")],
    caller: CallerDep,
    deps: DepsDep,
) -> FeedbackSummary:
    """Return thumbs, ratings, texts and corrections, counted."""
    return await deps.entries.summary(caller.tenant, interaction_id)


@router.get("/v1/feedback/prompts", summary="Count the feedback on the versions of a prompt", responses=_READ)
async def prompt_feedback(
    query: Annotated[PromptFeedbackQuery, Query()], caller: CallerDep, deps: DepsDep
) -> PromptFeedback:
    """Return what people said of the answers to a stored prompt, by its version."""
    return PromptFeedback(prompt=query.prompt, data=tuple(await deps.entries.of_prompt(caller.tenant, query)))


@router.get("/v1/feedback/reviews", summary="List reviews", responses=_READ)
async def list_reviews(query: Annotated[ReviewQuery, Query()], caller: CallerDep, deps: DepsDep) -> Page[Review]:
    """Return reviews, newest first unless `order=asc`."""
    return Page[Review].of(await deps.reviews.page(caller.tenant, query), query.limit)


@router.post("/v1/feedback/reviews/{review_id}/close", summary="Close a review", responses=_CLOSE)
async def close_review(review_id: ReviewId, body: CloseReview, caller: CallerDep, deps: DepsDep) -> Review:
    """Say that a person has looked at it, and what was found."""
    return await deps.reviews.close(caller.tenant, review_id, body, reviewer=caller.subject, now=deps.clock.now())


@router.get("/v1/feedback/{feedback_id}", summary="Read one entry", responses=_ONE)
async def get_feedback(feedback_id: FeedbackId, caller: CallerDep, deps: DepsDep) -> FeedbackEntry:
    """Return one entry."""
    return await deps.entries.get(caller.tenant, feedback_id)


@router.delete("/v1/feedback/{feedback_id}", summary="Delete one entry", responses=_ONE)
async def delete_feedback(feedback_id: FeedbackId, caller: CallerDep, deps: DepsDep) -> FeedbackDeleted:
    """Delete an entry with its review."""
    await deps.entries.delete(caller.tenant, feedback_id)
    return FeedbackDeleted(id=feedback_id)
