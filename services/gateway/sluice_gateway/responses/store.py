"""Queries for kept responses; every query that a caller causes names the tenant."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Integer, cast, delete, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sluice.db import Database
from sluice_gateway.audit_store import erase
from sluice_gateway.domain.audit import Trail
from sluice_gateway.domain.conversations import placed_by
from sluice_gateway.domain.responses import MOST_TURNS, ROW, Chain, ResponseFilter, StoredResponse
from sluice_gateway.responses.conversation_store import append, matching
from sluice_gateway.responses.tables import ResponseRow

_COLUMNS = tuple(getattr(ResponseRow, name) for name in ROW)
_AT_ONCE = 500


class ResponseStore:
    """Kept responses; every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, responses: Sequence[StoredResponse]) -> None:
        """Add responses in one transaction, and what they add to conversations; what is there already stays, and what they prolong is kept as long as they are."""
        insert: Any = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(ResponseRow)
        statement = insert.on_conflict_do_nothing(index_elements=["id"])
        values = [_values(response) for response in responses if response.stored]

        def work(session: Session) -> None:
            if values:
                session.execute(statement, values)
            for response in responses:
                if response.conversation is not None:
                    append(
                        session,
                        response.tenant,
                        response.conversation,
                        placed_by(response),
                        now=response.created_at,
                        expires_at=response.expires_at,
                        sqlite=self._database.is_sqlite,
                    )
                for start in range(0, len(response.prolonged), _AT_ONCE):
                    session.execute(
                        update(ResponseRow)
                        .where(
                            ResponseRow.id.in_(response.prolonged[start : start + _AT_ONCE]),
                            ResponseRow.tenant == response.tenant,
                            ResponseRow.expires_at < response.expires_at,
                        )
                        .values(expires_at=response.expires_at)
                    )

        await self._database.transact(work)

    async def chain(self, tenant: str, response_id: str, now: float, most_bytes: int) -> Chain | None:
        """Return a response with those before it, up to the one with which they are over `most_bytes`; None when one is not there."""
        mine = (ResponseRow.tenant == tenant, ResponseRow.expires_at > now)
        first = select(
            *_COLUMNS, cast(literal(1), Integer).label("turns"), cast(ResponseRow.size, Integer).label("total")
        ).where(ResponseRow.id == response_id, *mine)
        walk = first.cte("walk", recursive=True)
        earlier = (
            select(*_COLUMNS, walk.c.turns + 1, walk.c.total + ResponseRow.size)
            .join(walk, ResponseRow.id == walk.c.previous_id)
            .where(*mine, walk.c.turns < MOST_TURNS, walk.c.total <= most_bytes)
        )
        walk = walk.union_all(earlier)
        columns = [walk.c[name] for name in (*ROW, "total", "turns")]
        rows = await self._database.rows(select(*columns).order_by(walk.c.turns.desc()))
        if not rows:
            return None
        found = [StoredResponse(*row[: len(_COLUMNS)]) for row in rows]
        whole, (total, turns) = found[0].previous_id is None, rows[0][len(_COLUMNS) :]
        if not whole and total <= most_bytes and turns < MOST_TURNS:
            return None  # an earlier one was deleted
        return Chain(found, whole)

    async def get(self, tenant: str, response_id: str, now: float) -> StoredResponse | None:
        """Return one response."""
        wanted = ResponseRow.id == response_id, ResponseRow.tenant == tenant, ResponseRow.expires_at > now
        rows = await self._database.rows(select(*_COLUMNS).where(*wanted))
        return StoredResponse(*rows[0]) if rows else None

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Delete one, and tell whether there was one."""
        async with self._database.write() as session:
            gone = await session.execute(
                delete(ResponseRow)
                .where(ResponseRow.id == response_id, ResponseRow.tenant == tenant)
                .returning(ResponseRow.id)
            )
            return gone.first() is not None

    async def delete_matching(self, wanted: ResponseFilter, trail: Trail) -> int:
        """Delete all that match, and return how many; the audit log says so."""
        return await erase(
            self._database,
            ResponseRow,
            matching(ResponseRow, wanted),
            lambda organization, count: trail.kept_deleted("responses", organization, wanted, count),
        )


def _values(response: StoredResponse) -> dict[str, object]:
    return {**{column.key: getattr(response, column.key) for column in _COLUMNS}, "size": response.size}
