"""Reviews: opened once for each entry, closed once by a person."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from sluice.contracts.feedback import CloseReview, FeedbackRecorded, Review, ReviewQuery
from sluice.db import Database
from sluice.ids import new_id
from sluice_feedback.domain.errors import ReviewClosed, ReviewNotFound
from sluice_feedback.domain.events import ReviewToOpen
from sluice_feedback.store.interactions import AT_ONCE
from sluice_feedback.tables import FeedbackRow, ReviewRow


@dataclass(frozen=True, slots=True)
class ReviewStore:
    """The reviews table; every method raises DependencyUnavailable while the database is away."""

    database: Database

    async def needed(self, events: Sequence[FeedbackRecorded]) -> list[ReviewToOpen]:
        """Return the reviews that the entries of these events call for; entries that were deleted call for none."""
        statement = select(FeedbackRow).where(
            FeedbackRow.id.in_([event.feedback_id for event in events]), FeedbackRow.negative.is_(True)
        )
        async with self.database.read() as session:
            return [
                ReviewToOpen(
                    row.tenant, row.id, row.interaction_id, "low_rating" if row.escalate else "negative_thumbs"
                )
                for row in await session.scalars(statement)
            ]

    async def open(self, reviews: Sequence[ReviewToOpen], *, now: float) -> list[ReviewToOpen]:
        """Open reviews and return those that were not there before."""
        insert = sqlite.insert if self.database.is_sqlite else postgresql.insert
        values = [
            {
                "id": new_id("review"),
                "tenant": review.tenant,
                "feedback_id": review.feedback_id,
                "interaction_id": review.interaction_id,
                "reason": review.reason,
                "issues": list(review.issues) or None,
                "status": "open",
                "created_at": now,
            }
            for review in reviews
        ]
        statement = insert(ReviewRow).on_conflict_do_nothing().returning(ReviewRow.id)
        new: set[str] = set()
        async with self.database.write() as session:
            for start in range(0, len(values), AT_ONCE):
                new.update(await session.scalars(statement.values(values[start : start + AT_ONCE])))
        return [review for review, row in zip(reviews, values, strict=True) if row["id"] in new]

    async def page(self, tenant: str, query: ReviewQuery) -> list[Review]:
        """Return the reviews of a page and, if there are more, one further."""
        statement = select(ReviewRow).where(ReviewRow.tenant == tenant)
        if query.status is not None:
            statement = statement.where(ReviewRow.status == query.status)
        if query.reason is not None:
            statement = statement.where(ReviewRow.reason == query.reason)
        if query.interaction_id is not None:
            statement = statement.where(ReviewRow.interaction_id == query.interaction_id)
        if query.after:
            statement = statement.where(
                ReviewRow.id > query.after if query.order == "asc" else ReviewRow.id < query.after
            )
        statement = statement.order_by(ReviewRow.id if query.order == "asc" else ReviewRow.id.desc())
        async with self.database.read() as session:
            return [_review(row) for row in await session.scalars(statement.limit(query.limit + 1))]

    async def close(self, tenant: str, review_id: str, said: CloseReview, *, reviewer: str, now: float) -> Review:
        """Close an open review.

        Raises:
            ReviewNotFound: this tenant has none of that id.
            ReviewClosed: somebody closed it before.
        """
        async with self.database.write() as session:
            row = await session.get(ReviewRow, review_id, with_for_update=True)
            if row is None or row.tenant != tenant:
                raise ReviewNotFound(f"There is no review with the id {review_id!r}.")
            if row.status != "open":
                raise ReviewClosed(f"The review {review_id} is closed already.")
            row.status, row.note, row.reviewer, row.closed_at = "done", said.note, reviewer, now
            row.decision, row.cause = said.decision, said.cause
            return _review(row)


def _review(row: ReviewRow) -> Review:
    return Review.model_validate(
        {
            "id": row.id,
            "feedback_id": row.feedback_id,
            "interaction_id": row.interaction_id,
            "reason": row.reason,
            "issues": row.issues or (),
            "status": row.status,
            "decision": row.decision,
            "cause": row.cause,
            "note": row.note,
            "reviewer": row.reviewer,
            "created_at": row.created_at,
            "closed_at": row.closed_at,
        }
    )
