"""Responses in the background, as gateways begin and cancel them and workers do them.

Whoever changes both rows of one locks that of the response first, as a deletion does: so no two wait for each other.
"""

from collections.abc import Sequence

import orjson
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from sluice.db import Database
from sluice_gateway.domain.background import STANDS_APART, Aside, BackgroundWork, Candidate, Json, TooManyUnfinished
from sluice_gateway.domain.batches import OnBehalf, pause_after_loss
from sluice_gateway.domain.conversations import placed_by
from sluice_gateway.domain.responses import MOST_TURNS, ROW, StoredResponse
from sluice_gateway.responses.conversation_store import append
from sluice_gateway.responses.tables import BackgroundRow, ResponseRow

_DAY_S = 86_400


class BackgroundStore:
    """Responses in the background of all tenants; `most` is how many unfinished ones a tenant may have.

    Every method raises DependencyUnavailable when the database is away.
    """

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most

    async def begin(self, response: StoredResponse, aside: Aside, expires_at: float) -> None:
        """Keep a response that is queued; see the port."""

        def work(session: Session) -> None:
            if not self._database.is_sqlite:  # there, one writes at a time; here, one of each tenant
                session.execute(select(func.pg_advisory_xact_lock(func.hashtext(response.tenant))))
            of_tenant = select(func.count(BackgroundRow.id)).where(BackgroundRow.tenant == response.tenant)
            if (session.scalar(of_tenant) or 0) >= self._most:
                raise TooManyUnfinished
            session.add(ResponseRow(**{name: getattr(response, name) for name in ROW}, size=response.size))
            session.flush()
            session.add(
                BackgroundRow(
                    id=response.id,
                    tenant=response.tenant,
                    body=aside.body,
                    headers=aside.headers,
                    expires_at=expires_at,
                    attempts=0,
                    look_at=0.0,
                )
            )

        await self._database.transact(work)

    async def cancel(self, tenant: str, response_id: str, now: float) -> str | None:
        """Cancel a response if it has no answer yet, and return what it is then, None when this tenant has none of this id."""

        def work(session: Session) -> str | None:
            row = _locked(session, response_id)
            if row is None or row.tenant != tenant or row.expires_at <= now:
                return None
            found = session.get(BackgroundRow, response_id, with_for_update=True)
            if found is not None:
                _change(row, {**orjson.loads(row.response), "status": "cancelled"})
                session.delete(found)
            return row.response

        return await self._database.transact(work)

    async def due(self, now: float, limit: int, without: Sequence[str]) -> Sequence[Candidate]:
        """Return responses that wait, or whose worker was lost; see the port."""
        query = (
            select(BackgroundRow.id, BackgroundRow.tenant)
            .where(BackgroundRow.look_at <= now, BackgroundRow.tenant.not_in(without))
            .order_by(BackgroundRow.look_at, BackgroundRow.id)
            .limit(limit)
        )
        return [Candidate(*row) for row in await self._database.rows(query)]

    async def take(self, response_id: str, owner: str, now: float, lease_s: float) -> BackgroundWork | None:
        """Take a response; one that lost several workers in a row rests before it is taken again."""

        def work(session: Session) -> BackgroundWork | None:
            row = _locked(session, response_id)
            found = session.get(BackgroundRow, response_id, with_for_update=True)
            if row is None or found is None or found.look_at > now:
                return None
            if found.lease_owner is not None:
                found.lease_owner = None
                found.attempts += 1
                if rest := pause_after_loss(found.attempts):
                    found.look_at = now + rest
                    return None
            begun = {**orjson.loads(row.response), "status": "in_progress"}
            _change(row, begun)
            found.lease_owner, found.look_at = owner, now + lease_s
            return BackgroundWork(
                id=row.id,
                on_behalf=OnBehalf(row.tenant, row.key_id),
                previous_id=row.previous_id,
                body=found.body.encode(),
                headers={**orjson.loads(found.headers), **STANDS_APART},
                response=begun,
                input_size=len(row.input),
                created_at=row.created_at,
                expires_at=found.expires_at,
            )

        return await self._database.transact(work)

    async def held(self, owner: str) -> frozenset[str]:
        """Return the ids of those that are this worker's."""
        query = select(BackgroundRow.id).where(BackgroundRow.lease_owner == owner)
        return frozenset(str(row[0]) for row in await self._database.rows(query))

    async def hold(self, owner: str, until: float) -> None:
        """Prolong the leases of a worker; one that is being changed just now is left for the next time."""

        def work(session: Session) -> None:
            query = select(BackgroundRow).where(BackgroundRow.lease_owner == owner).with_for_update(skip_locked=True)
            for row in session.scalars(query):
                row.look_at = until

        await self._database.transact(work)

    async def finish(self, work: BackgroundWork, owner: str, response: Json, now: float, keep_s: int) -> bool:
        """Write what became of a response, and what it adds to its conversation, all or nothing; see the port."""

        def write(session: Session) -> bool:
            row = _locked(session, work.id)
            found = session.get(BackgroundRow, work.id, with_for_update=True)
            if row is None or found is None or found.lease_owner != owner:
                return False
            _change(row, response)
            row.expires_at = int(now) + keep_s
            session.delete(found)
            session.flush()
            if response["status"] in ("completed", "incomplete"):
                self._go_on(session, row, response, now)
            return True

        return await self._database.transact(write)

    def _go_on(self, session: Session, row: ResponseRow, response: Json, now: float) -> None:
        conversation = response.get("conversation")
        if isinstance(conversation, dict):
            stored = StoredResponse(*(getattr(row, name) for name in ROW))
            append(
                session,
                row.tenant,
                str(conversation["id"]),
                placed_by(stored),
                now=now,
                expires_at=row.expires_at,
                sqlite=self._database.is_sqlite,
            )
        if row.previous_id is not None:
            _prolong(session, row.tenant, row.previous_id, row.expires_at)

    async def release(self, response_id: str, owner: str, look_at: float) -> None:
        """Give a response back, for any worker to take from `look_at` on."""

        def work(session: Session) -> None:
            session.execute(
                update(BackgroundRow)
                .where(BackgroundRow.id == response_id, BackgroundRow.lease_owner == owner)
                .values(lease_owner=None, look_at=look_at)
            )

        await self._database.transact(work)

    async def unfinished(self) -> int:
        """Return how many responses of all tenants have no answer."""
        return int((await self._database.rows(select(func.count(BackgroundRow.id))))[0][0])


def _locked(session: Session, response_id: str) -> ResponseRow | None:
    return session.get(ResponseRow, response_id, with_for_update=True)


def _change(row: ResponseRow, response: Json) -> None:
    row.response = orjson.dumps(response).decode()
    row.size = len(row.input) + len(row.response)


def _prolong(session: Session, tenant: str, last: str, expires_at: int) -> None:
    # As keeping.py does: with a day's grace, so that not every turn writes all that came before it.
    row = ResponseRow
    columns = row.id, row.previous_id, row.expires_at
    walk = select(*columns).where(row.id == last, row.tenant == tenant).cte("walk", recursive=True)
    walk = walk.union_all(select(*columns).join(walk, row.id == walk.c.previous_id).where(row.tenant == tenant))
    ids = select(walk.c.id).where(walk.c.expires_at < expires_at - _DAY_S).limit(MOST_TURNS)
    turns = list(session.scalars(ids))
    session.execute(update(row).where(row.id.in_(turns), row.expires_at < expires_at).values(expires_at=expires_at))
