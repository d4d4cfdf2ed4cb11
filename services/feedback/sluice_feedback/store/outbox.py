"""Events that wait for their stream."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select

from sluice.contracts.feedback import FeedbackRecorded
from sluice.db import Database
from sluice_feedback.domain.events import WaitingEvent
from sluice_feedback.tables import OutboxRow


@dataclass(frozen=True, slots=True)
class OutboxStore:
    """The outbox table; every method raises DependencyUnavailable while the database is away."""

    database: Database

    async def waiting(self, limit: int) -> list[WaitingEvent]:
        """Return the oldest events that were not published."""
        async with self.database.read() as session:
            rows = await session.scalars(select(OutboxRow).order_by(OutboxRow.seq).limit(limit))
            return [WaitingEvent(row.seq, FeedbackRecorded.model_validate_json(row.payload)) for row in rows]

    async def count(self) -> int:
        """Return how many wait."""
        async with self.database.read() as session:
            found: int = await session.scalar(select(func.count()).select_from(OutboxRow))
            return found

    async def published(self, events: Sequence[WaitingEvent]) -> None:
        """Forget events that are on their stream."""
        async with self.database.write() as session:
            await session.execute(delete(OutboxRow).where(OutboxRow.seq.in_([event.seq for event in events])))
