"""The record of vector stores and documents in SQL."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Float,
    Select,
    String,
    Text,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    null,
    select,
    union_all,
)

from sluice.contracts.paging import PageQuery
from sluice.contracts.questions import QueryUnderstanding
from sluice.contracts.retrieval import (
    ChunkingOptions,
    ContentQuery,
    Document,
    DocumentContent,
    DocumentStatus,
    VectorStore,
)
from sluice.contracts.searching import SearchFilter
from sluice.contracts.vector_files import FileCounts, StoreExpiry, VectorStoreUpdate
from sluice.db import AsyncSession, Database, ReadSession
from sluice_retrieval.domain.errors import DocumentNotFound, StoreExpired, StoreNotFound
from sluice_retrieval.domain.extraction import Source
from sluice_retrieval.domain.images import Picture
from sluice_retrieval.domain.library import DocumentDetails
from sluice_retrieval.domain.metrics import Ranking, ranking_named
from sluice_retrieval.domain.points import Scope
from sluice_retrieval.store.filters import Shape, attribute_rows, matches, shape_of, values_of
from sluice_retrieval.store.images import image_row
from sluice_retrieval.store.versions import bump
from sluice_retrieval.tables import DocumentRow, RecordingRow, RemovalRow, StoreRow, TextRow

READY: DocumentStatus = "ready"
UNFINISHED = ("queued", "processing")
DAY_S = 86_400
MEMORY_PREFIX = "vs_memory_"
_NOTHING, _UNCOUNTED, _NEVER = literal(""), literal(0), cast(null(), Float)
_BETWEEN = ","
_COUNTED = {"waiting": UNFINISHED, "ready": (READY,), "failed": ("failed",), "cancelled": ("cancelled",)}

# What every search asks is built once: to build it anew takes longer than to answer it.
_TENANT, _STORES = bindparam("tenant", type_=String), bindparam("stores", expanding=True, type_=String)
_ENDS = StoreRow.last_active_at + StoreRow.expires_days * DAY_S
_SEEN_PARTS = (
    select(
        literal("store"),
        StoreRow.id,
        StoreRow.languages,
        StoreRow.version,
        StoreRow.metric,
        StoreRow.keywords,
        cast(_ENDS, Float),
    ).where(StoreRow.tenant == _TENANT, StoreRow.id.in_(_STORES)),
    select(literal("told"), StoreRow.id, cast(StoreRow.understand, Text), _UNCOUNTED, _NOTHING, _NOTHING, _NEVER).where(
        StoreRow.tenant == _TENANT, StoreRow.id.in_(_STORES), StoreRow.understand.is_not(None)
    ),
    select(literal("hidden"), DocumentRow.id, _NOTHING, _UNCOUNTED, _NOTHING, _NOTHING, _NEVER).where(
        DocumentRow.tenant == _TENANT,
        DocumentRow.store_id.in_(_STORES),
        DocumentRow.status.in_(UNFINISHED),
        DocumentRow.indexed.is_not(None),
    ),
    select(literal("hidden"), RemovalRow.document_id, _NOTHING, _UNCOUNTED, _NOTHING, _NOTHING, _NEVER).where(
        RemovalRow.store_id.in_(_STORES), RemovalRow.document_id.is_not(None)
    ),
)
_SEEN = union_all(*_SEEN_PARTS)
# Said so that no index is taken for tenant or state: SQLite would read all documents of the one or in the other.
_DETAILS = select(DocumentRow.id, DocumentRow.details, DocumentRow.file_id, DocumentRow.media_type).where(
    DocumentRow.id.in_(bindparam("documents", expanding=True, type_=String)),
    func.coalesce(DocumentRow.tenant, "") == _TENANT,
    func.coalesce(DocumentRow.status, "") == READY,
)


@lru_cache(maxsize=256)
def _seen_inside(shape: Shape) -> Executable:
    """Return what a search with a filter of this shape asks."""
    ready = (DocumentRow.store_id.in_(_STORES), DocumentRow.status == READY, matches(shape, _STORES))
    ids = func.coalesce(
        func.aggregate_strings(DocumentRow.id, _BETWEEN), ""
    )  # one row: each costs as much as finding it
    inside = select(literal("inside"), ids, _NOTHING, _UNCOUNTED, _NOTHING, _NOTHING, _NEVER).where(
        DocumentRow.tenant == _TENANT, *ready
    )
    return union_all(*_SEEN_PARTS, inside)


class Library:
    """Stores and documents as the REST API sees them; every query is limited to one tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_store(self, tenant: str, store: VectorStore) -> None:
        """Record a new store."""
        async with self._database.write() as session:
            session.add(
                StoreRow(
                    id=store.id,
                    tenant=tenant,
                    name=store.name,
                    created_at=float(store.created_at),
                    chunking=store.chunking.model_dump(mode="json"),
                    details=dict(store.metadata),
                    expires_days=store.expires_after.days if store.expires_after else None,
                    last_active_at=float(store.created_at),
                    understand=store.understand.model_dump(mode="json") if store.understand else None,
                    metric=store.metric,
                    keywords=store.keywords,
                    captions=store.captions,
                )
            )

    async def update_store(self, tenant: str, store_id: str, change: VectorStoreUpdate, now: float) -> None:
        """Change what a request names of a store."""
        named = change.model_fields_set
        async with self._database.write() as session:
            row = await session.scalar(select(StoreRow).where(_is_store(tenant, store_id)).with_for_update())
            if row is None:
                raise _no_store(store_id)
            if change.name is not None:
                row.name = change.name
            if change.metadata is not None:
                row.details = dict(change.metadata)
            if "expires_after" in named:
                row.expires_days = change.expires_after.days if change.expires_after else None
            if "understand" in named:
                row.understand = change.understand.model_dump(mode="json") if change.understand else None
            if change.captions is not None:
                row.captions = change.captions
            row.last_active_at = now
            row.version += 1

    async def store(self, tenant: str, store_id: str, now: float) -> VectorStore:
        """Return one store, or raise `StoreNotFound`."""
        async with self._database.read() as session:
            row = (await session.execute(_SHOWN.where(_is_store(tenant, store_id)))).first()
            if row is None:
                raise _no_store(store_id)
            return _store_of(row, now)

    async def describes(self, tenant: str, store_id: str) -> bool:
        """Tell whether a model may describe images of a store, or raise `StoreNotFound`."""
        async with self._database.read() as session:
            found = await session.scalar(select(StoreRow.captions).where(_is_store(tenant, store_id)))
        if found is None:
            raise _no_store(store_id)
        return bool(found)

    async def stores(self, tenant: str, page: PageQuery, now: float) -> list[VectorStore]:
        """Return a page of stores, and one more if there are more; that of memories has an API of its own."""
        shown = _SHOWN.where(StoreRow.tenant == tenant, ~StoreRow.id.startswith(MEMORY_PREFIX, autoescape=True))
        query = _paged(shown, StoreRow.id, page)
        async with self._database.read() as session:
            return [_store_of(row, now) for row in (await session.execute(query)).all()]

    async def remove_store(self, tenant: str, store_id: str) -> None:
        """Remove a store with its documents; its points are noted for removal."""
        async with self._database.write() as session:
            await require_store(session, tenant, store_id)
            await session.execute(delete(StoreRow).where(_is_store(tenant, store_id)))
            session.add(RemovalRow(tenant=tenant, store_id=store_id))

    async def add_document(
        self,
        tenant: str,
        document: Document,
        text: str,
        next_send_at: float,
        picture: Picture | None = None,
        recording: Source | None = None,
    ) -> None:
        """Record a document and its text as queued, and what was read of an image; of a recording the file in place of a text.

        Raises `StoreExpired` for a store whose time is over.
        """
        async with self._database.write(large=recording is not None) as session:
            await require_living_store(session, tenant, document.vector_store_id, document.created_at)
            session.add(
                DocumentRow(
                    id=document.id,
                    tenant=tenant,
                    store_id=document.vector_store_id,
                    name=document.name,
                    media_type=document.media_type,
                    status="queued",
                    bytes=document.bytes,
                    sha256=document.sha256,
                    chunks=0,
                    terms=0,
                    attempts=0,
                    next_send_at=next_send_at,
                    created_at=float(document.created_at),
                    details=dict(document.metadata),
                )
            )
            await session.flush()
            if recording is None:
                session.add(TextRow(document_id=document.id, text=text))
            else:
                session.add(RecordingRow(document_id=document.id, filename=recording.name[:500], raw=recording.raw))
            if picture is not None:
                session.add(image_row(document.id, picture))
            session.add_all(attribute_rows(document.id, document.vector_store_id, document.metadata))

    async def document(self, tenant: str, store_id: str, document_id: str) -> Document:
        """Return one document, or raise `DocumentNotFound`."""
        async with self._database.read() as session:
            row = await session.scalar(select(DocumentRow).where(_is_document(tenant, store_id, document_id)))
            if row is None:
                raise _no_document(document_id, store_id)
            return _document_of(row)

    async def content(self, tenant: str, store_id: str, document_id: str, part: ContentQuery) -> DocumentContent:
        """Return a part of a document's text, or raise `DocumentNotFound`."""
        length = func.length(TextRow.text)
        text = func.substr(TextRow.text, part.start + 1, part.length)
        query = (
            select(DocumentRow.name, DocumentRow.media_type, length, text)
            .outerjoin(TextRow, TextRow.document_id == DocumentRow.id)
            .where(_is_document(tenant, store_id, document_id))
        )
        async with self._database.read() as session:
            row = (await session.execute(query)).first()
        if row is None:
            raise _no_document(document_id, store_id)
        name, media_type, total, found = row
        if found is None:
            raise DocumentNotFound(
                f"The file of document {document_id!r} has not been read. Ask again when it is ready."
            )
        start = min(part.start, total)
        return DocumentContent(
            document_id=document_id,
            name=name,
            media_type=media_type,
            text=found,
            start=start,
            end=start + len(found),
            length=total,
        )

    async def documents(
        self, tenant: str, store_id: str, page: PageQuery, status: DocumentStatus | None
    ) -> list[Document]:
        """Return a page of a store's documents, and one more if there are more."""
        query = select(DocumentRow).where(DocumentRow.tenant == tenant, DocumentRow.store_id == store_id)
        if status is not None:
            query = query.where(DocumentRow.status == status)
        async with self._database.read() as session:
            await require_store(session, tenant, store_id)
            return [_document_of(row) for row in await session.scalars(_paged(query, DocumentRow.id, page))]

    async def remove_document(self, tenant: str, store_id: str, document_id: str) -> None:
        """Remove a document; its points are noted for removal."""
        async with self._database.write() as session:
            await session.run_sync(bump, [store_id])
            found = await session.execute(
                delete(DocumentRow).where(_is_document(tenant, store_id, document_id)).returning(DocumentRow.id)
            )
            if found.first() is None:
                raise _no_document(document_id, store_id)
            session.add(RemovalRow(tenant=tenant, store_id=store_id, document_id=document_id))

    async def scope(
        self, tenant: str, store_ids: Sequence[str], filters: SearchFilter | None = None, now: float = 0.0
    ) -> Scope:
        """Return what a search over these stores, and in them over documents that match, may see.

        It also tells by which languages their texts are stemmed, and what is done with questions to them. Hidden are documents whose ingestion has begun and not ended, and those whose points are still to be removed, so
        that a replaced document gives way to the new one in one step.
        """
        wanted = tuple(dict.fromkeys(store_ids))
        seen, values = (_SEEN, {}) if filters is None else (_seen_inside(shape_of(filters)), values_of(filters))
        found: dict[str, dict[str, str]] = {}
        versions: dict[str, int] = {}
        values = {"tenant": tenant, "stores": wanted, **values}
        rankings: dict[Ranking, None] = {}
        for sort, one, said, counted, metric, keywords, ends in await self._database.few(seen, values, again=True):
            found.setdefault(sort, {})[one] = said
            if sort == "store":
                if ends is not None and ends <= now:
                    raise _expired(one)
                versions[one] = counted
                rankings[ranking_named(metric, keywords)] = None
        missing = set(wanted).difference(found.get("store", ()))
        if missing:
            raise _no_store(next(one for one in wanted if one in missing))
        inside = next(iter(found.get("inside", ())), "")
        chosen = None if filters is None else tuple(inside.split(_BETWEEN)) if inside else ()
        languages = tuple(dict.fromkeys(one for said in found["store"].values() for one in said.split()))
        said = next((found["told"][one] for one in wanted if one in found.get("told", ())), None)
        understand = None if said is None else QueryUnderstanding.model_validate_json(said)
        return Scope(
            tenant, wanted, tuple(found.get("hidden", ())), chosen, languages, understand, versions, tuple(rankings)
        )

    async def living(self, tenant: str, store_ids: Sequence[str], now: float) -> set[str]:
        """Return those of some stores that the tenant has and whose time is not over."""
        wanted = select(StoreRow.id, StoreRow.last_active_at, StoreRow.expires_days)
        wanted = wanted.where(StoreRow.tenant == tenant, StoreRow.id.in_(store_ids))
        async with self._database.read() as session:
            rows = (await session.execute(wanted)).all()
        return {store_id for store_id, active, days in rows if _end_of(active, days) > now}

    async def details(self, tenant: str, document_ids: Sequence[str]) -> dict[str, DocumentDetails]:
        """Return what is shown of those documents that are ready now; one that is gone or replaced is left out."""
        rows = await self._database.few(_DETAILS, {"tenant": tenant, "documents": tuple(set(document_ids))})
        return {one: DocumentDetails(shown, file_id, media_type) for one, shown, file_id, media_type in rows}

    async def ping(self) -> None:
        """Raise `DependencyUnavailable` if the database does not answer."""
        await self._database.ping()


def _stores() -> Select[*tuple[Any, ...]]:
    ready = case((DocumentRow.status == READY, DocumentRow.chunks), else_=0)
    totals = (
        select(
            DocumentRow.store_id,
            func.count(DocumentRow.id).label("documents"),
            func.coalesce(func.sum(ready), 0).label("chunks"),
            func.coalesce(func.sum(DocumentRow.bytes), 0).label("bytes"),
            *(
                func.coalesce(func.sum(case((DocumentRow.status.in_(states), 1), else_=0)), 0).label(name)
                for name, states in _COUNTED.items()
            ),
        )
        .group_by(DocumentRow.store_id)
        .subquery()
    )
    sums = (func.coalesce(column, 0) for column in totals.c if column.name != "store_id")
    return select(StoreRow, *sums).outerjoin(totals, totals.c.store_id == StoreRow.id)


_SHOWN = _stores()


def _store_of(row: Any, now: float) -> VectorStore:
    store, documents, chunks, size, waiting, ready, failed, cancelled = row
    end = _end_of(store.last_active_at, store.expires_days)
    return VectorStore(
        id=store.id,
        name=store.name,
        created_at=int(store.created_at),
        documents=documents,
        chunks=chunks,
        chunking=ChunkingOptions.model_validate(store.chunking),
        metadata=store.details,
        status="expired" if end <= now else "in_progress" if waiting else "completed",
        usage_bytes=size,
        file_counts=FileCounts(
            in_progress=waiting, completed=ready, failed=failed, cancelled=cancelled, total=documents
        ),
        expires_after=None if store.expires_days is None else StoreExpiry(days=store.expires_days),
        expires_at=None if store.expires_days is None else int(end),
        last_active_at=int(store.last_active_at),
        understand=None if store.understand is None else QueryUnderstanding.model_validate(store.understand),
        captions=store.captions,
        **ranking_named(store.metric, store.keywords)._asdict(),
    )


def _document_of(row: DocumentRow) -> Document:
    return Document.model_validate(
        {
            "id": row.id,
            "vector_store_id": row.store_id,
            "name": row.name,
            "media_type": row.media_type,
            "status": row.status,
            "error": row.error,
            "bytes": row.bytes,
            "sha256": row.sha256,
            "chunks": row.chunks,
            "indexed_chunks": row.indexed or 0,
            "planned_chunks": row.planned,
            "created_at": int(row.created_at),
            "metadata": row.details,
            "transcribed_s": row.transcribed_s,
        }
    )


def _paged(query: Select[Any], key: Any, page: PageQuery) -> Select[Any]:
    if page.after is not None:
        query = query.where(key < page.after if page.order == "desc" else key > page.after)
    return query.order_by(key.desc() if page.order == "desc" else key.asc()).limit(page.limit + 1)


def _is_store(tenant: str, store_id: str) -> ColumnElement[bool]:
    return (StoreRow.id == store_id) & (StoreRow.tenant == tenant)


def _is_document(tenant: str, store_id: str, document_id: str) -> ColumnElement[bool]:
    return (DocumentRow.id == document_id) & (DocumentRow.tenant == tenant) & (DocumentRow.store_id == store_id)


async def require_store(session: ReadSession | AsyncSession, tenant: str, store_id: str) -> None:
    """Raise `StoreNotFound` unless the tenant has this store."""
    if await session.scalar(select(StoreRow.id).where(_is_store(tenant, store_id))) is None:
        raise _no_store(store_id)


async def require_living_store(session: AsyncSession, tenant: str, store_id: str, now: float) -> None:
    """Raise `StoreNotFound` unless the tenant has this store, and `StoreExpired` where its time is over: what is added then would be removed with the rest."""
    found = await session.execute(
        select(StoreRow.last_active_at, StoreRow.expires_days).where(_is_store(tenant, store_id))
    )
    row = found.first()
    if row is None:
        raise _no_store(store_id)
    if _end_of(*row) <= now:
        raise _expired(store_id)


def _end_of(last_active_at: float, expires_days: int | None) -> float:
    return math.inf if expires_days is None else last_active_at + expires_days * DAY_S


def _expired(store_id: str) -> StoreExpired:
    return StoreExpired(f"Vector store {store_id!r} has expired. Make a new one, and give it a longer `expires_after`.")


def _no_store(store_id: str) -> StoreNotFound:
    return StoreNotFound(f"There is no vector store {store_id!r}. List yours with GET /v1/vector_stores.")


def _no_document(document_id: str, store_id: str) -> DocumentNotFound:
    return DocumentNotFound(f"There is no document {document_id!r} in vector store {store_id!r}.")
