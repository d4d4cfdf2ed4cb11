"""Interactions that usage told of."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite

from sluice.db import Database
from sluice_feedback.domain.events import Interaction
from sluice_feedback.tables import InteractionRow

_MAX_NAME = 200
AT_ONCE = 1000
"""Rows of one statement: PostgreSQL takes 32,767 values in one."""


@dataclass(frozen=True, slots=True)
class InteractionStore:
    """The interactions table; every method raises DependencyUnavailable while the database is away."""

    database: Database

    async def note(self, interactions: Sequence[Interaction]) -> int:
        """Add interactions and return how many are new."""
        insert = sqlite.insert if self.database.is_sqlite else postgresql.insert
        values = [
            {
                "tenant": found.tenant,
                "interaction_id": found.interaction_id[:_MAX_NAME],
                # Callers choose the name of a model that does not exist: PostgreSQL refuses the NUL character.
                "model": found.model.replace("\x00", "")[:_MAX_NAME],
                "at": found.at,
                "prompt": found.prompt,
                "prompt_version": found.prompt_version,
            }
            for found in interactions
        ]
        statement = insert(InteractionRow).on_conflict_do_nothing().returning(InteractionRow.interaction_id)
        new = 0
        async with self.database.write() as session:
            for start in range(0, len(values), AT_ONCE):
                new += len((await session.scalars(statement.values(values[start : start + AT_ONCE]))).all())
        return new

    async def forget(self, before: float) -> None:
        """Forget the interactions from before a moment (unix seconds)."""
        async with self.database.write() as session:
            await session.execute(delete(InteractionRow).where(InteractionRow.at < before))
