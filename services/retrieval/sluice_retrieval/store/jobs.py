"""Which document is to be ingested, by whom, and what is to be removed from the index."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Float,
    String,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy import Row as Found
from sqlalchemy.orm import aliased

from sluice.contracts.retrieval import ChunkingOptions
from sluice.db import Database, Session
from sluice_retrieval.domain.images import Picture, caption_in
from sluice_retrieval.domain.library import Claim, Done, Job, Removal, Waiting, pause_s
from sluice_retrieval.domain.metrics import ranking_named
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.store.images import image_row
from sluice_retrieval.store.recordings import forget
from sluice_retrieval.store.versions import bump
from sluice_retrieval.tables import DocumentRow, RemovalRow, SpaceRow, StoreRow, TextRow

_UNFINISHED = ("queued", "processing")
_DAY_S = 86_400
_AVERAGE_S = 10.0
_SETTLED_CHUNKS = 200
_KEPT_AVERAGES = 1000
_READ_CHARS = 4000
_AT_ONCE = 500
_LOOKED_AT = 32
STEMS = 2
"""How terms are made: 1 stemmed every text as English, 2 stems by its language and pairs the characters of unspaced scripts."""


class IngestJobs:
    """The ports `IngestRecord` and `Backlog` in SQL; a claim is decided inside one write transaction."""

    def __init__(self, database: Database, max_attempts: int) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._averages: dict[str, tuple[float, float]] = {}

    async def claim(self, tenant: str, document_id: str, now: float, until: float) -> Job | Claim:
        """Take a document that is queued, or whose worker has lost its lease."""
        return await self._database.transact(lambda session: self._claim(session, tenant, document_id, now, until))

    def _claim(self, session: Session, tenant: str, document_id: str, now: float, until: float) -> Job | Claim:
        claimed = session.execute(_CLAIMED, {"documents": [document_id]}).first()
        if claimed is None or claimed[0].tenant != tenant:
            return "gone"
        return self._taken(session, claimed, now, until)

    async def claim_waiting(self, now: float, until: float, most_bytes: int) -> Sequence[Job]:
        """Take what waits for longest: one document, or several small ones of a store that were never begun."""
        return await self._database.transact(lambda session: self._claim_waiting(session, now, until, most_bytes))

    def _claim_waiting(self, session: Session, now: float, until: float, most_bytes: int) -> Sequence[Job]:
        while ids := _together(session.execute(_WAITING, {"now": now}).all(), most_bytes):
            claimed = session.execute(_CLAIMED, {"documents": ids}).all()
            taken = [self._taken(session, found, now, until) for found in claimed]
            if jobs := [one for one in taken if isinstance(one, Job)]:
                return jobs
            if "busy" in taken:
                break
            session.flush()  # what is given up or gone waits no more
        return ()

    def _taken(self, session: Session, claimed: Found[*tuple[Any, ...]], now: float, until: float) -> Job | Claim:
        row, chunking, text, has_newer, space, metric, keywords, describes = claimed
        if row.status not in _UNFINISHED:
            return "done"
        if has_newer:
            _drop(session, row)
            return "gone"
        if space is None:
            return "busy"  # no API process has begun yet
        if row.not_before > now or (row.status == "processing" and row.next_send_at > now):
            return "busy"
        if row.attempts >= self._max_attempts:
            row.status = "failed"
            row.error = (
                f"Ingestion was begun {row.attempts} times in a row and got nowhere. Split the document and try again."
            )
            session.add(_removal(row))
            _end_failed(session, row.id)
            return "spent"
        row.status, row.attempts, row.next_send_at = "processing", row.attempts + 1, until
        row.not_before = until + pause_s(row.attempts)  # if this run dies without a word
        row.indexed = row.indexed or 0
        average = self._average(session, row.store_id, now)
        job = _job(row, ChunkingOptions.model_validate(row.chunking or chunking), text, average, space)
        return job._replace(ranking=ranking_named(metric, keywords), describes=describes)

    def _average(self, session: Session, store_id: str, now: float) -> float:
        """Return the mean number of terms of a store's chunks, as it was at most ten seconds ago; 0 while it has none."""
        kept = self._averages.get(store_id)
        if kept is not None and kept[1] > now:
            return kept[0]
        totals = session.execute(
            select(func.coalesce(func.sum(DocumentRow.terms), 0), func.coalesce(func.sum(DocumentRow.chunks), 0)).where(
                DocumentRow.store_id == store_id, DocumentRow.status == "ready"
            )
        )
        terms, chunks = totals.one()
        average = terms / chunks if chunks else 0.0
        if chunks >= _SETTLED_CHUNKS:
            if len(self._averages) >= _KEPT_AVERAGES:
                self._averages.clear()
            self._averages[store_id] = (average, now + _AVERAGE_S)
        return average

    async def extend(self, document_ids: Sequence[str], until: float) -> None:
        """Keep claims."""
        held = (DocumentRow.id.in_(document_ids), DocumentRow.status == "processing")
        statement = update(DocumentRow).where(*held).values(next_send_at=until)
        await self._database.transact(lambda session: session.execute(statement))

    async def keep_text(
        self, job: Job, text: str, media_type: str, sha256: str, picture: Picture | None = None
    ) -> None:
        """Record the text that a document's file holds, and what was read of an image."""
        async with self._database.write() as session:
            changed = await session.execute(
                _processing(job.document_id).values(media_type=media_type, sha256=sha256).returning(DocumentRow.id)
            )
            if changed.first() is not None:
                await session.merge(TextRow(document_id=job.document_id, text=text))
                await session.run_sync(forget, job.document_id)
                if picture is not None:
                    await session.merge(image_row(job.document_id, picture))

    async def plan(self, job: Job, plan: str, planned: int) -> None:
        """Note how the document is cut; nothing is indexed by this plan yet."""
        statement = _processing(job.document_id).values(plan=plan, planned=planned, indexed=0)
        await self._database.transact(lambda session: session.execute(statement))

    async def progress(self, job: Job, indexed: int, until: float) -> None:
        """Note that so many chunks are in the index, and keep the claim; earlier runs are forgiven."""
        statement = _processing(job.document_id).values(
            indexed=indexed, next_send_at=until, not_before=until, attempts=1
        )
        await self._database.transact(lambda session: session.execute(statement))

    async def finish(self, done: Sequence[Done], now: float) -> None:
        """Make documents ready and retire older ones of their names; queue them again if another embedding model answers now."""
        await self._database.transact(lambda session: _finish(session, done, now))

    async def fail(self, job: Job, error: str) -> None:
        """Give the document up; its points are noted for removal, and older ones of its name that failed are gone."""
        async with self._database.write() as session:
            await session.execute(
                update(DocumentRow).where(DocumentRow.id == job.document_id).values(status="failed", error=error)
            )
            session.add(_removal_of(job))
            await session.run_sync(_end_failed, job.document_id)

    async def release(self, job: Job, next_send_at: float, why: str, *, counted: bool) -> None:
        """Put the document back in the queue, and note what it waits for."""
        given_back = 0 if counted else 1
        async with self._database.write() as session:
            await session.execute(
                _processing(job.document_id).values(
                    status="queued",
                    error=why,
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

    async def sent(self, document_ids: Sequence[str], again_at: float) -> None:
        """Note that workers know of documents."""
        for at in range(0, len(document_ids), _AT_ONCE):
            queued = func.coalesce(DocumentRow.status, "") == "queued"  # by ids, not among all that wait
            told = (DocumentRow.id.in_(document_ids[at : at + _AT_ONCE]), queued)
            statement = update(DocumentRow).where(*told).values(next_send_at=again_at)
            await self._database.transact(partial(_execute, statement))

    async def reopen_incomplete(self, counts: Mapping[str, int], now: float) -> int:
        """Queue ready documents again that have other numbers of chunks in the index than `counts` says; returns how many."""
        async with self._database.write() as session:
            rows = await session.scalars(select(DocumentRow).where(DocumentRow.status == "ready"))
            found = [row for row in rows if counts.get(row.id, 0) != row.chunks]
            await session.run_sync(bump, [row.store_id for row in found])
            for row in found:
                row.status, row.attempts, row.next_send_at, row.not_before = "queued", 0, now, 0.0
                row.indexed, row.plan = 0, None
            return len(found)

    async def old_stems(self, limit: int) -> Sequence[tuple[str, str]]:
        """Return ids and the beginnings of ready documents whose terms an older release made."""
        query = (
            select(DocumentRow.id, func.substr(TextRow.text, 1, _READ_CHARS))
            .join(TextRow, TextRow.document_id == DocumentRow.id)
            .where(DocumentRow.status == "ready", DocumentRow.stems < STEMS)
            .limit(limit)
        )
        async with self._database.read() as session:
            return [(row[0], row[1]) for row in await session.execute(query)]

    async def restem(self, again: Collection[str], right: Collection[str], now: float) -> None:
        """Queue documents whose terms are to be made again, and note of others that they are right as they are."""
        ready = (DocumentRow.status == "ready", DocumentRow.stems < STEMS)
        queued = {"status": "queued", "attempts": 0, "next_send_at": now, "not_before": 0.0, "indexed": 0, "plan": None}
        async with self._database.write() as session:
            stores = await session.scalars(select(DocumentRow.store_id).where(DocumentRow.id.in_(again), *ready))
            await session.run_sync(bump, stores.all())
            await session.execute(
                update(DocumentRow).where(DocumentRow.id.in_(again), *ready).values(stems=STEMS, **queued)
            )
            await session.execute(update(DocumentRow).where(DocumentRow.id.in_(right), *ready).values(stems=STEMS))

    async def expire(self, seen: Mapping[str, float], now: float) -> int:
        """Note when stores were used, and empty those whose time is over; returns how many."""
        async with self._database.write() as session:
            for store_id, at in seen.items():
                await session.execute(update(StoreRow).where(StoreRow.id == store_id).values(last_active_at=at))
            over = select(StoreRow).where(
                StoreRow.expires_days.is_not(None), StoreRow.last_active_at + StoreRow.expires_days * _DAY_S <= now
            )
            emptied = 0
            for store in (await session.scalars(over)).all():
                await session.run_sync(bump, [store.id])
                gone = await session.scalars(
                    delete(DocumentRow).where(DocumentRow.store_id == store.id).returning(DocumentRow.id)
                )
                if gone.all():
                    session.add(RemovalRow(tenant=store.tenant, store_id=store.id))
                    emptied += 1
            return emptied

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


def _execute(statement: Update, session: Session) -> None:
    session.execute(statement)


def _together(waiting: Sequence[Found[*tuple[Any, ...]]], most_bytes: int) -> list[str]:
    """Return the first document that waits, and those of its store that may go with it."""
    if not waiting:
        return []
    first = waiting[0]
    chosen, size = [first.id], first.bytes
    for one in waiting[1:] if first.small else ():
        if one.small and one.store_id == first.store_id and size + one.bytes <= most_bytes:
            chosen.append(one.id)
            size += one.bytes
    return chosen


def _finish(session: Session, done: Sequence[Done], now: float) -> None:
    bump(session, [one.job.store_id for one in done])
    found = session.execute(_FINISHED, {"documents": [one.job.document_id for one in done]}).all()
    known = {row.id: (row, has_newer, space) for row, has_newer, space in found}
    ready, languages = [], set[str]()
    for job, chunks, terms, spoken in done:
        if job.document_id not in known:
            session.add(_removal_of(job))
            continue
        row, has_newer, space = known[job.document_id]
        if has_newer:
            _drop(session, row)
            continue
        if space != job.space:  # another model answers since it was claimed
            row.status, row.attempts, row.next_send_at, row.not_before, row.plan = "queued", 0, now, 0.0, None
            continue
        row.status, row.error, row.chunks, row.terms = "ready", None, chunks, terms
        row.indexed = row.planned = chunks
        row.stems, row.space, row.ready_at = STEMS, job.space, now
        ready.append(row.id)
        languages |= set(spoken)
    if not ready:
        return
    _add_languages(session, done[0].job.store_id, languages)
    older = session.execute(_OLDER, {"documents": ready}).scalars().all()
    if older:
        for old in session.scalars(select(DocumentRow).where(DocumentRow.id.in_(older))).all():
            _drop(session, old)


def _add_languages(session: Session, store_id: str, languages: Collection[str]) -> None:
    known = session.scalar(select(StoreRow.languages).where(StoreRow.id == store_id))
    if known is None or set(languages) <= set(known.split()):
        return
    store = session.get(StoreRow, store_id, with_for_update=True, populate_existing=True)
    if store is not None:
        store.languages = " ".join(dict.fromkeys((*store.languages.split(), *sorted(languages))))


def _job(row: DocumentRow, chunking: ChunkingOptions, text: str | None, average: float, space: str) -> Job:
    return Job(
        tenant=row.tenant,
        store_id=row.store_id,
        document_id=row.id,
        name=row.name,
        media_type=row.media_type,
        text=text or "",
        chunking=chunking,
        average_terms=average,
        plan=row.plan,
        indexed=row.indexed or 0,
        space=space,
        file_id=row.file_id if text is None else None,
        caption=caption_in(row.details),
        again=row.attempts > 1,
        recorded=text is None and row.file_id is None,
    )


def _processing(document_id: str) -> Update:
    return update(DocumentRow).where(DocumentRow.id == document_id, DocumentRow.status == "processing")


def _same(older: type[DocumentRow], newer: type[DocumentRow]) -> tuple[Sequence[ColumnElement[bool]], ...]:
    # Of texts one name is one document; of files the file is, whatever its name. Ids sort by time: of two that are the
    # same document the one with the greater id was sent last. Each way has its index; what has no file is said so that no index
    # is taken for it: it would find all texts of a store.
    of_store = (older.store_id == newer.store_id, older.id < newer.id)
    texts = (func.coalesce(older.file_id, "") == "", func.coalesce(newer.file_id, "") == "")
    return (*of_store, older.name == newer.name, *texts), (*of_store, older.file_id == newer.file_id)


def _newer(row: type[DocumentRow]) -> ColumnElement[bool]:
    other = aliased(DocumentRow)
    ready = func.coalesce(other.status, "") == "ready"  # said so that no index is taken for it either
    return or_(*(exists().where(*same, ready) for same in _same(row, other)))


def _older() -> CompoundSelect[str]:
    old, new = aliased(DocumentRow), aliased(DocumentRow)
    return union_all(*(select(old.id).where(new.id.in_(_THESE), *same) for same in _same(old, new)))


# Built once: to build them anew for each document takes longer than to answer them.
_THESE = bindparam("documents", expanding=True, type_=String)
_DOCUMENT = DocumentRow.id.in_(_THESE)
_ACTIVE = select(SpaceRow.id).where(SpaceRow.status == "active").scalar_subquery()
_CLAIMED = (
    select(
        DocumentRow,
        StoreRow.chunking,
        TextRow.text,
        _newer(DocumentRow),
        _ACTIVE,
        StoreRow.metric,
        StoreRow.keywords,
        StoreRow.captions,
    )
    .join(StoreRow, StoreRow.id == DocumentRow.store_id)
    .outerjoin(TextRow, TextRow.document_id == DocumentRow.id)
    .where(_DOCUMENT)
    .order_by(DocumentRow.id)
    .with_for_update(of=DocumentRow)
)
_WAITING = (
    select(
        DocumentRow.id,
        DocumentRow.store_id,
        DocumentRow.bytes,
        and_(DocumentRow.attempts == 0, DocumentRow.file_id.is_(None)).label("small"),
    )
    .where(DocumentRow.status == "queued", DocumentRow.not_before <= bindparam("now", type_=Float))
    .order_by(DocumentRow.next_send_at)
    .limit(_LOOKED_AT)
    .with_for_update(skip_locked=True)
)
_FINISHED = select(DocumentRow, _newer(DocumentRow), _ACTIVE).where(_DOCUMENT).with_for_update(of=DocumentRow)
_OLDER = _older()


def _drop(session: Session, row: DocumentRow) -> None:
    session.add(_removal(row))
    session.delete(row)


def _end_failed(session: Session, document_id: str) -> None:
    """Forget the recording of a document that failed, and the documents that failed before it and that it was to replace."""
    forget(session, document_id)
    older = session.execute(_OLDER, {"documents": [document_id]}).scalars().all()
    if older:
        session.execute(delete(DocumentRow).where(DocumentRow.id.in_(older), DocumentRow.status == "failed"))


def _removal(row: DocumentRow) -> RemovalRow:
    return RemovalRow(tenant=row.tenant, store_id=row.store_id, document_id=row.id)


def _removal_of(job: Job) -> RemovalRow:
    return RemovalRow(tenant=job.tenant, store_id=job.store_id, document_id=job.document_id)
