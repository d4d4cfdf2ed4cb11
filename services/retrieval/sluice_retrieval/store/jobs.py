"""Which document is to be ingested, by whom, and what is to be removed from the index."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Update, delete, func, select, update

from sluice.contracts.retrieval import ChunkingOptions
from sluice.db import AsyncSession, Database
from sluice_retrieval.domain.library import Claim, Job, Removal, Waiting, pause_s
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.tables import DocumentRow, RemovalRow, StoreRow, TextRow

_UNFINISHED = ("queued", "processing")


class IngestJobs:
    """The ports `IngestRecord` and `Backlog` in SQL; a claim is decided inside one write transaction."""

    def __init__(self, database: Database, max_attempts: int) -> None:
        self._database = database
        self._max_attempts = max_attempts

    async def claim(self, tenant: str, document_id: str, now: float, until: float) -> Job | Claim:
        """Take a document that is queued, or whose worker has lost its lease."""
        async with self._database.write() as session:
            row = await session.get(DocumentRow, document_id, with_for_update=True)
            if row is None or row.tenant != tenant:
                return "gone"
            if row.status not in _UNFINISHED:
                return "done"
            if await _has_newer(session, row):
                await _drop(session, row)
                return "gone"
            if row.not_before > now or (row.status == "processing" and row.next_send_at > now):
                return "busy"
            if row.attempts >= self._max_attempts:
                row.status = "failed"
                row.error = f"Ingestion was begun {row.attempts} times in a row and got nowhere. Split the document and try again."
                session.add(_removal(row))
                return "spent"
            row.status, row.attempts, row.next_send_at = "processing", row.attempts + 1, until
            row.not_before = until + pause_s(row.attempts)  # if this run dies without a word
            row.indexed = row.indexed or 0
            return await _job(session, row)

    async def extend(self, document_id: str, until: float) -> None:
        """Keep the claim."""
        async with self._database.write() as session:
            await session.execute(_processing(document_id).values(next_send_at=until))

    async def plan(self, job: Job, plan: str, planned: int) -> None:
        """Note how the document is cut; nothing is indexed by this plan yet."""
        async with self._database.write() as session:
            await session.execute(_processing(job.document_id).values(plan=plan, planned=planned, indexed=0))

    async def progress(self, job: Job, indexed: int, until: float) -> None:
        """Note that so many chunks are in the index, and keep the claim; earlier runs are forgiven."""
        async with self._database.write() as session:
            await session.execute(
                _processing(job.document_id).values(indexed=indexed, next_send_at=until, not_before=until, attempts=1)
            )

    async def finish(self, job: Job, chunks: int, terms: int) -> None:
        """Make the document ready and retire older ones of its name."""
        async with self._database.write() as session:
            row = await session.get(DocumentRow, job.document_id, with_for_update=True)
            if row is None:
                session.add(_removal_of(job))
                return
            if await _has_newer(session, row):
                await _drop(session, row)
                return
            row.status, row.error, row.chunks, row.terms = "ready", None, chunks, terms
            row.indexed = chunks
            older = await session.scalars(
                select(DocumentRow).where(
                    DocumentRow.store_id == row.store_id, DocumentRow.name == row.name, DocumentRow.id < row.id
                )
            )
            for old in older.all():
                await _drop(session, old)

    async def fail(self, job: Job, error: str) -> None:
        """Give the document up; its points are noted for removal."""
        async with self._database.write() as session:
            await session.execute(
                update(DocumentRow).where(DocumentRow.id == job.document_id).values(status="failed", error=error)
            )
            session.add(_removal_of(job))

    async def release(self, job: Job, next_send_at: float, *, counted: bool) -> None:
        """Put the document back in the queue."""
        given_back = 0 if counted else 1
        async with self._database.write() as session:
            await session.execute(
                _processing(job.document_id).values(
                    status="queued",
                    next_send_at=next_send_at,
                    not_before=next_send_at if given_back else DocumentRow.not_before,
                    attempts=DocumentRow.attempts - given_back,
                )
            )

    async def note_removal(self, selector: Selector) -> None:
        """Remember that points are to be removed."""
        async with self._database.write() as session:
            session.add(
                RemovalRow(tenant=selector.tenant, store_id=selector.store_id, document_id=selector.document_id)
            )

    async def due(self, now: float, again_at: float, limit: int) -> Sequence[Waiting]:
        """Return documents to send now: queued and not sent, sent long ago, or without a living worker."""
        async with self._database.write() as session:
            rows = await session.scalars(
                select(DocumentRow)
                .where(
                    DocumentRow.status.in_(_UNFINISHED), DocumentRow.next_send_at <= now, DocumentRow.not_before <= now
                )
                .order_by(DocumentRow.next_send_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            found = []
            for row in rows.all():
                row.status, row.next_send_at = "queued", again_at
                found.append(Waiting(row.tenant, row.store_id, row.id))
            return found

    async def sent(self, document_id: str, again_at: float) -> None:
        """Note that a document is in the queue."""
        async with self._database.write() as session:
            await session.execute(
                update(DocumentRow)
                .where(DocumentRow.id == document_id, DocumentRow.status == "queued")
                .values(next_send_at=again_at)
            )

    async def reopen_incomplete(self, counts: Mapping[str, int], now: float) -> int:
        """Queue ready documents again that have other numbers of chunks than `counts` says; returns how many."""
        async with self._database.write() as session:
            rows = await session.scalars(select(DocumentRow).where(DocumentRow.status == "ready"))
            found = [row for row in rows if counts.get(row.id, 0) != row.chunks]
            for row in found:
                row.status, row.attempts, row.next_send_at, row.not_before = "queued", 0, now, 0.0
                row.indexed, row.plan = 0, None
            return len(found)

    async def removals(self, limit: int) -> Sequence[Removal]:
        """Return points to remove, oldest first."""
        async with self._database.read() as session:
            rows = await session.scalars(select(RemovalRow).order_by(RemovalRow.id).limit(limit))
            return [Removal(row.id, Selector(row.tenant, row.store_id, row.document_id)) for row in rows]

    async def removed(self, removal_id: int) -> None:
        """Forget a removal that is done."""
        async with self._database.write() as session:
            await session.execute(delete(RemovalRow).where(RemovalRow.id == removal_id))

    async def waiting(self) -> int:
        """Return how many documents are queued or being ingested."""
        async with self._database.read() as session:
            count = await session.scalar(select(func.count(DocumentRow.id)).where(DocumentRow.status.in_(_UNFINISHED)))
            return int(count)


async def _job(session: AsyncSession, row: DocumentRow) -> Job:
    store = await session.get_one(StoreRow, row.store_id)
    text = await session.get_one(TextRow, row.id)
    totals = await session.execute(
        select(func.coalesce(func.sum(DocumentRow.terms), 0), func.coalesce(func.sum(DocumentRow.chunks), 0)).where(
            DocumentRow.store_id == row.store_id, DocumentRow.status == "ready"
        )
    )
    terms, chunks = totals.one()
    return Job(
        tenant=row.tenant,
        store_id=row.store_id,
        document_id=row.id,
        name=row.name,
        media_type=row.media_type,
        text=text.text,
        chunking=ChunkingOptions.model_validate(store.chunking),
        average_terms=terms / chunks if chunks else 0.0,
        plan=row.plan,
        indexed=row.indexed or 0,
    )


def _processing(document_id: str) -> Update:
    return update(DocumentRow).where(DocumentRow.id == document_id, DocumentRow.status == "processing")


async def _has_newer(session: AsyncSession, row: DocumentRow) -> bool:
    # Ids sort by time: of two documents of one name the one with the greater id was sent last.
    newer = select(DocumentRow.id).where(
        DocumentRow.store_id == row.store_id,
        DocumentRow.name == row.name,
        DocumentRow.id > row.id,
        DocumentRow.status == "ready",
    )
    return await session.scalar(newer.limit(1)) is not None


async def _drop(session: AsyncSession, row: DocumentRow) -> None:
    session.add(_removal(row))
    await session.delete(row)


def _removal(row: DocumentRow) -> RemovalRow:
    return RemovalRow(tenant=row.tenant, store_id=row.store_id, document_id=row.id)


def _removal_of(job: Job) -> RemovalRow:
    return RemovalRow(tenant=job.tenant, store_id=job.store_id, document_id=job.document_id)
