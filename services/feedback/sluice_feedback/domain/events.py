"""Events between the outbox, the streams and the store, and what is done with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sluice.clock import Clock
from sluice.contracts.feedback import FeedbackRecorded, ReviewReason
from sluice.contracts.usage import UsageRecorded

REVIEW_REQUIRED = "review_required"
"""The guard issue that asks for a person."""


class WaitingEvent(NamedTuple):
    """An event with its place in the outbox."""

    seq: int
    event: FeedbackRecorded


class Interaction(NamedTuple):
    """A request that the gateway answered."""

    tenant: str
    interaction_id: str
    model: str
    at: float
    prompt: str | None = None
    prompt_version: int | None = None


class ReviewToOpen(NamedTuple):
    """A review of one entry, or of a critical answer with the issues that a guard found."""

    tenant: str
    feedback_id: str | None
    interaction_id: str
    reason: ReviewReason
    issues: tuple[str, ...] = ()


class InteractionTable(Protocol):
    """Where known interactions are kept; raises DependencyUnavailable while it is away."""

    async def note(self, interactions: Sequence[Interaction]) -> int:
        """Add interactions and return how many are new."""
        ...


class ReviewTable(Protocol):
    """Where reviews are kept; raises DependencyUnavailable while it is away."""

    async def needed(self, events: Sequence[FeedbackRecorded]) -> list[ReviewToOpen]:
        """Return the reviews that the entries of these events call for; entries that were deleted call for none."""
        ...

    async def open(self, reviews: Sequence[ReviewToOpen], *, now: float) -> list[ReviewToOpen]:
        """Open reviews and return those that were not open before."""
        ...


@dataclass(frozen=True, slots=True)
class UsageFollower:
    """Learns from usage which interactions exist, and opens a review for each answer that a guard policy calls critical (F046)."""

    table: InteractionTable
    counted: Callable[[int], None]
    reviews: ReviewTable
    clock: Clock
    opened: Callable[[ReviewReason], None]

    async def __call__(self, events: Sequence[UsageRecorded]) -> None:
        """Note the interactions of a batch; those that are known already change nothing."""
        found = [
            Interaction(event.tenant, event.request_id, event.model, event.at, event.prompt, event.prompt_version)
            for event in events
        ]
        self.counted(await self.table.note(found))
        critical = [
            ReviewToOpen(
                event.tenant,
                None,
                event.request_id,
                "critical_answer",
                tuple(issue for issue in event.guard_issues if issue != REVIEW_REQUIRED),
            )
            for event in events
            if REVIEW_REQUIRED in event.guard_issues
        ]
        if critical:
            for review in await self.reviews.open(critical, now=self.clock.now()):
                self.opened(review.reason)


@dataclass(frozen=True, slots=True)
class ReviewOpener:
    """Opens a review for each thumbs-down (F384) and each rating below 3 (F383)."""

    table: ReviewTable
    clock: Clock
    opened: Callable[[ReviewReason], None]

    async def __call__(self, events: Sequence[FeedbackRecorded]) -> None:
        """Open the reviews that a batch calls for; a batch that comes again opens none twice."""
        needed = await self.table.needed(events)
        if not needed:
            return
        for review in await self.table.open(needed, now=self.clock.now()):
            self.opened(review.reason)
