"""The record of embedding spaces in SQL."""

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError

from sluice.db import Database
from sluice_retrieval.domain.image_vectors import is_image_space
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.domain.spaces import Lacking, Moved, SpaceState, SpaceStatus
from sluice_retrieval.tables import DocumentRow, RemovalRow, SpaceRow

_STATUSES: tuple[SpaceStatus, ...] = get_args(SpaceStatus)


class SpaceRecords:
    """The port `SpaceRecord`, and what the API process asks beside it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def aim(self, wanted: str, now: float) -> str:
        """Have documents moved into the wanted space, unless it answers already; return the one that answers now.

        Nothing is moved where there is nothing yet. A move into another space is given up: documents that were in it have
        vectors in the one that answers, too.
        """
        await self._begin(wanted, now)
        async with self._database.write() as session:
            rows = {row.id: row for row in await session.scalars(select(SpaceRow).with_for_update())}
            active = next(row.id for row in rows.values() if row.status == "active")
            for row in rows.values():
                if row.status == "building" and row.id != wanted:
                    row.status, row.since, row.error = "retiring", now, None
                    moved = update(DocumentRow).where(DocumentRow.space == row.id).values(space=active)
                    await session.execute(moved)
            if wanted != active and wanted not in rows:
                session.add(SpaceRow(id=wanted, status="building", since=now))
            elif wanted != active and rows[wanted].status == "retiring":
                rows[wanted].status, rows[wanted].since = "building", now
            return active

    async def _begin(self, wanted: str, now: float) -> None:
        try:
            async with self._database.write() as session:
                if await session.scalar(select(SpaceRow.id).where(SpaceRow.status == "active")) is None:
                    session.add(SpaceRow(id=wanted, status="active", since=now))
        except IntegrityError:  # another process began at the same moment
            return

    async def ids_by_status(self) -> dict[str, list[str]]:
        """Return the spaces of each status."""
        found: dict[str, list[str]] = {}
        for space, status in await self._database.rows(select(SpaceRow.id, SpaceRow.status)):
            found.setdefault(status, []).append(space)
        return found

    async def unmove(self, space: str, counts: Mapping[str, int]) -> int:
        """Have documents moved again whose chunks in a space that is being built are not as many as `counts` says; returns how many."""
        async with self._database.write() as session:
            active = (await session.scalars(select(SpaceRow.id).where(SpaceRow.status == "active"))).one()
            rows = await session.scalars(
                select(DocumentRow).where(DocumentRow.status == "ready", DocumentRow.space == space)
            )
            lost = [row for row in rows if counts.get(row.id, 0) != row.chunks]
            for row in lost:
                row.space = active
            return len(lost)

    async def ids(self) -> Sequence[str]:
        """Return all spaces that hold vectors."""
        async with self._database.read() as session:
            return list(await session.scalars(select(SpaceRow.id).order_by(SpaceRow.id)))

    async def states(self) -> list[SpaceState]:
        """Return all spaces and how far they are."""
        query = select(DocumentRow.space, func.count(DocumentRow.id)).where(DocumentRow.status == "ready")
        async with self._database.read() as session:
            counted = {space: int(count) for space, count in await session.execute(query.group_by(DocumentRow.space))}
            known = await session.scalars(select(SpaceRow).order_by(SpaceRow.since))
            rows = [row for row in known if not is_image_space(row.id)]
            moved = sum(counted.get(row.id, 0) for row in rows if row.status == "building")
            return [
                SpaceState(
                    row.id,
                    _STATUSES[_STATUSES.index(row.status)],
                    row.since,
                    row.error,
                    counted.get(row.id, 0) + (moved if row.status == "active" else 0),
                    sum(counted.values()),
                )
                for row in rows
            ]

    async def claim_move(self, holder: str, now: float, until: float) -> str | None:
        """Return the space that documents are to be moved into, if this worker may move them."""
        async with self._database.read() as session:
            found = {row.status: row.id for row in await session.scalars(select(SpaceRow))}
            space = found.get("building")
            if space is None and "retiring" in found and await session.scalar(select(_any_outside(found["active"]))):
                space = found["active"]  # made ready in the moment of the switch
        if space is None:
            return None
        free = (SpaceRow.lease_until <= now) | (SpaceRow.holder == holder)
        async with self._database.write() as session:
            claimed = await session.execute(
                update(SpaceRow)
                .where(SpaceRow.id == space, free)
                .values(holder=holder, lease_until=until)
                .returning(SpaceRow.id)
            )
            return space if claimed.first() is not None else None

    async def lacking(self, space: str, limit: int, skip: Iterable[str]) -> Sequence[Lacking]:
        """Return ready documents that have no vectors in a space, oldest first, without those to skip."""
        query = (
            select(DocumentRow)
            .where(DocumentRow.status == "ready", DocumentRow.space != space, DocumentRow.id.not_in(list(skip)))
            .order_by(DocumentRow.id)
            .limit(limit)
        )
        async with self._database.read() as session:
            return [
                Lacking(Selector(row.tenant, row.store_id, row.id), row.space, row.chunks, row.ready_at)
                for row in await session.scalars(query)
            ]

    async def moved(self, document: Lacking, space: str) -> Moved:
        """Note that all of a document is in a space, if it still is what was read."""
        async with self._database.write() as session:
            row = await session.get(DocumentRow, document.selector.document_id, with_for_update=True)
            if row is None:
                return "gone"
            if row.status != "ready" or row.ready_at != document.ready_at:
                return "anew"
            row.space = space
            return "moved"

    async def ingest_again(self, document: Lacking, now: float) -> None:
        """Queue a document whose points are not where they should be."""
        again = {"status": "queued", "attempts": 0, "next_send_at": now, "not_before": 0.0, "indexed": 0, "plan": None}
        same = (DocumentRow.id == document.selector.document_id, DocumentRow.ready_at == document.ready_at)
        async with self._database.write() as session:
            await session.execute(update(DocumentRow).where(*same, DocumentRow.status == "ready").values(**again))

    async def switch(self, space: str, now: float) -> bool:
        """Let a space answer from now on, if every ready document is in it; return whether it does."""
        async with self._database.write() as session:
            row = await session.get(SpaceRow, space, with_for_update=True)
            if row is None or row.status != "building" or await session.scalar(select(_any_outside(space))):
                return False
            await session.execute(
                update(SpaceRow).where(SpaceRow.status == "active").values(status="retiring", since=now)
            )
            row.status, row.since, row.error = "active", now, None
            return True

    async def forgotten(self, before: float) -> Sequence[str]:
        """Forget spaces that have not answered since `before` and that no document needs; return which."""
        unused = ~exists().where(DocumentRow.space == SpaceRow.id)
        async with self._database.write() as session:
            gone = await session.scalars(
                delete(SpaceRow)
                .where(SpaceRow.status == "retiring", SpaceRow.since < before, unused)
                .returning(SpaceRow.id)
                .execution_options(synchronize_session=False)
            )
            return list(gone.all())

    async def note_error(self, space: str, error: str | None) -> None:
        """Note why a move does not get on."""
        async with self._database.write() as session:
            await session.execute(update(SpaceRow).where(SpaceRow.id == space).values(error=error))

    async def note_removal(self, selector: Selector) -> None:
        """Remember that points are to be removed."""
        async with self._database.write() as session:
            session.add(
                RemovalRow(tenant=selector.tenant, store_id=selector.store_id, document_id=selector.document_id)
            )


def _any_outside(space: str) -> ColumnElement[bool]:
    return exists().where(DocumentRow.status == "ready", DocumentRow.space != space)
