"""The typed client of the feedback service."""

from dataclasses import dataclass
from urllib.parse import urlencode

from sluice.clients.http import ServiceClient
from sluice.contracts.base import Request
from sluice.contracts.feedback import (
    CloseReview,
    FeedbackCreate,
    FeedbackDeleted,
    FeedbackEntry,
    FeedbackQuery,
    FeedbackSummary,
    PromptFeedback,
    PromptFeedbackQuery,
    Review,
    ReviewQuery,
)
from sluice.contracts.paging import Page

_BASE = "/v1/feedback"


@dataclass(frozen=True, slots=True)
class FeedbackClient:
    """Stores and reads feedback; while the service is away the error reaches the caller, who may try again."""

    http: ServiceClient

    async def create(self, feedback: FeedbackCreate, *, tenant: str) -> FeedbackEntry:
        """Store one piece of feedback."""
        return await self.http.request("POST", _BASE, feedback, reply=FeedbackEntry, tenant=tenant)

    async def get(self, feedback_id: str, *, tenant: str) -> FeedbackEntry:
        """Return one entry."""
        return await self.http.request("GET", f"{_BASE}/{feedback_id}", reply=FeedbackEntry, tenant=tenant)

    async def list(self, query: FeedbackQuery, *, tenant: str) -> Page[FeedbackEntry]:
        """Return one page of entries."""
        return await self.http.request("GET", _with_query(_BASE, query), reply=Page[FeedbackEntry], tenant=tenant)

    async def summary(self, interaction_id: str, *, tenant: str) -> FeedbackSummary:
        """Return the counts of one interaction."""
        path = f"{_BASE}/summary?{urlencode({'interaction_id': interaction_id})}"
        return await self.http.request("GET", path, reply=FeedbackSummary, tenant=tenant)

    async def of_prompt(self, query: PromptFeedbackQuery, *, tenant: str) -> PromptFeedback:
        """Return the feedback on a prompt's answers by version."""
        return await self.http.request(
            "GET", _with_query(f"{_BASE}/prompts", query), reply=PromptFeedback, tenant=tenant
        )

    async def delete(self, feedback_id: str, *, tenant: str) -> FeedbackDeleted:
        """Delete one entry."""
        return await self.http.request("DELETE", f"{_BASE}/{feedback_id}", reply=FeedbackDeleted, tenant=tenant)

    async def reviews(self, query: ReviewQuery, *, tenant: str) -> Page[Review]:
        """Return one page of reviews."""
        return await self.http.request("GET", _with_query(f"{_BASE}/reviews", query), reply=Page[Review], tenant=tenant)

    async def close_review(self, review_id: str, closing: CloseReview, *, tenant: str) -> Review:
        """Close a review."""
        path = f"{_BASE}/reviews/{review_id}/close"
        return await self.http.request("POST", path, closing, reply=Review, tenant=tenant)


def _with_query(path: str, query: Request) -> str:
    values = query.model_dump(mode="json", by_alias=True, exclude_none=True)
    return f"{path}?{urlencode(values)}"
