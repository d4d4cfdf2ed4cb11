"""The record of files and batches of files: documents whose bytes the gateway keeps."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, func, or_, select, update

from sluice.contracts.retrieval import ChunkingOptions
from sluice.contracts.vector_files import (
    FileAttributes,
    FileBatch,
    FileCounts,
    FileQuery,
    FileStatus,
    LastError,
    VectorStoreFile,
)
from sluice.db import Database
from sluice_retrieval.domain.errors import BatchNotFound, DocumentNotFound
from sluice_retrieval.store.filters import attribute_rows
from sluice_retrieval.store.library import require_living_store, require_store
from sluice_retrieval.store.versions import bump
from sluice_retrieval.tables import AttributeRow, DocumentRow, FileBatchRow, RemovalRow

_STATUS: dict[FileStatus, tuple[str, ...]] = {
    "in_progress": ("queued", "processing"),
    "completed": ("ready",),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
}
_BY_ROW = {state: status for status, states in _STATUS.items() for state in states}


class NewFile(NamedTuple):
    """A file to ingest; `chunking` is None for the store's own."""

    document_id: str
    file_id: str
    name: str
    bytes: int
    attributes: FileAttributes
    chunking: ChunkingOptions | None


class Files:
    """Files as OpenAI's API sees them; every query is limited to one tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, tenant: str, store_id: str, files: Sequence[NewFile], batch_id: str | None, now: float, send_at: float
    ) -> None:
        """Record files, and their batch if they have one; a file that is there already is ingested anew. Raises `StoreExpired` for a store whose time is over."""
        async with self._database.write() as session:
            await require_living_store(session, tenant, store_id, now)
            if batch_id is not None:
                session.add(
                    FileBatchRow(id=batch_id, tenant=tenant, store_id=store_id, created_at=now, cancelled=False)
                )
            for file in files:
                session.add(_row(tenant, store_id, file, batch_id, now, send_at))
            await session.flush()
            for file in files:
                session.add_all(attribute_rows(file.document_id, store_id, file.attributes))

    async def get(self, tenant: str, store_id: str, file_id: str) -> VectorStoreFile:
        """Return the newest document of a file, or raise `DocumentNotFound`."""
        async with self._database.read() as session:
            await require_store(session, tenant, store_id)
            row = await session.scalar(
                select(DocumentRow).where(_is_file(tenant, store_id, file_id)).order_by(DocumentRow.id.desc()).limit(1)
            )
            if row is None:
                raise _no_file(file_id, store_id)
            return _file_of(row)

    async def page(
        self, tenant: str, store_id: str, query: FileQuery, batch_id: str | None = None
    ) -> list[VectorStoreFile]:
        """Return a page of files, and one more if there are more."""
        chosen = select(DocumentRow).where(DocumentRow.tenant == tenant, DocumentRow.store_id == store_id)
        if batch_id is not None:
            chosen = chosen.where(DocumentRow.batch_id == batch_id)
        if query.filter is not None:
            chosen = chosen.where(DocumentRow.status.in_(_STATUS[query.filter]))
        rising = query.order == "asc"
        async with self._database.read() as session:
            await require_store(session, tenant, store_id)
            for cursor, later in ((query.after, True), (query.before, False)):
                if cursor is not None:
                    at = select(func.max(DocumentRow.id)).where(_is_file(tenant, store_id, cursor)).scalar_subquery()
                    chosen = chosen.where(DocumentRow.id > at if later == rising else DocumentRow.id < at)
            order = DocumentRow.id.asc() if rising else DocumentRow.id.desc()
            return [_file_of(row) for row in await session.scalars(chosen.order_by(order).limit(query.limit + 1))]

    async def set_attributes(self, tenant: str, store_id: str, file_id: str, attributes: FileAttributes) -> None:
        """Replace a file's attributes; filters see the new ones at once."""
        async with self._database.write() as session:
            await session.run_sync(bump, [store_id])
            rows = await session.scalars(select(DocumentRow).where(_is_file(tenant, store_id, file_id)))
            found = rows.all()
            if not found:
                raise _no_file(file_id, store_id)
            for row in found:
                row.details = dict(attributes)
                await session.execute(delete(AttributeRow).where(AttributeRow.document_id == row.id))
                session.add_all(attribute_rows(row.id, store_id, attributes))

    async def remove(self, tenant: str, store_id: str, file_id: str) -> None:
        """Take a file out of a store; its points are noted for removal."""
        async with self._database.write() as session:
            await require_store(session, tenant, store_id)
            await session.run_sync(bump, [store_id])
            found = await session.scalars(
                delete(DocumentRow).where(_is_file(tenant, store_id, file_id)).returning(DocumentRow.id)
            )
            gone = found.all()
            if not gone:
                raise _no_file(file_id, store_id)
            session.add_all(RemovalRow(tenant=tenant, store_id=store_id, document_id=one) for one in gone)

    async def forget(self, tenant: str, file_id: str) -> int:
        """Take a file out of all stores of a tenant, and return out of how many; its points are noted for removal."""
        async with self._database.write() as session:
            found = await session.execute(
                delete(DocumentRow)
                .where(DocumentRow.tenant == tenant, DocumentRow.file_id == file_id)
                .returning(DocumentRow.id, DocumentRow.store_id)
            )
            gone = found.all()
            await session.run_sync(bump, sorted({store_id for _, store_id in gone}))
            session.add_all(RemovalRow(tenant=tenant, store_id=store, document_id=one) for one, store in gone)
            return len({store_id for _, store_id in gone})

    async def batch(self, tenant: str, store_id: str, batch_id: str) -> FileBatch:
        """Return a batch and how far it is, or raise `BatchNotFound`."""
        async with self._database.read() as session:
            await require_store(session, tenant, store_id)
            row = await session.scalar(select(FileBatchRow).where(_is_batch(tenant, store_id, batch_id)))
            if row is None:
                raise _no_batch(batch_id, store_id)
            found = await session.execute(
                select(DocumentRow.status, func.count(DocumentRow.id))
                .where(DocumentRow.batch_id == batch_id)
                .group_by(DocumentRow.status)
            )
            counts = counts_of({status: int(count) for status, count in found.all()})
            return FileBatch(
                id=row.id,
                created_at=int(row.created_at),
                vector_store_id=store_id,
                status=_batch_status(counts, cancelled=row.cancelled),
                file_counts=counts,
            )

    async def cancel(self, tenant: str, store_id: str, batch_id: str) -> None:
        """Keep what is not begun yet from being ingested; a batch of which nothing waits stays as it is."""
        async with self._database.write() as session:
            await require_store(session, tenant, store_id)
            row = await session.get(FileBatchRow, batch_id)
            if row is None or (row.tenant, row.store_id) != (tenant, store_id):
                raise _no_batch(batch_id, store_id)
            kept = await session.scalars(
                update(DocumentRow)
                .where(DocumentRow.batch_id == batch_id, DocumentRow.status == "queued", DocumentRow.indexed.is_(None))
                .values(status="cancelled")
                .returning(DocumentRow.id)
            )
            row.cancelled = row.cancelled or bool(kept.all())


def counts_of(by_status: dict[str, int]) -> FileCounts:
    """Return numbers of files from numbers of documents by status."""
    found = {status: sum(by_status.get(state, 0) for state in states) for status, states in _STATUS.items()}
    return FileCounts(**found, total=sum(found.values()))


def _batch_status(counts: FileCounts, *, cancelled: bool) -> FileStatus:
    if counts.in_progress:
        return "in_progress"
    if cancelled:
        return "cancelled"
    return "failed" if counts.failed and not counts.completed else "completed"


def _row(tenant: str, store_id: str, file: NewFile, batch_id: str | None, now: float, send_at: float) -> DocumentRow:
    return DocumentRow(
        id=file.document_id,
        tenant=tenant,
        store_id=store_id,
        file_id=file.file_id,
        batch_id=batch_id,
        name=file.name,
        media_type="",
        status="queued",
        bytes=file.bytes,
        sha256=None,
        chunks=0,
        terms=0,
        attempts=0,
        next_send_at=send_at,
        created_at=now,
        details=dict(file.attributes),
        chunking=None if file.chunking is None else file.chunking.model_dump(mode="json"),
    )


def _file_of(row: DocumentRow) -> VectorStoreFile:
    values: dict[str, Any] = {
        "id": row.file_id or row.id,
        "created_at": int(row.created_at),
        "vector_store_id": row.store_id,
        "status": _BY_ROW[row.status],
        "last_error": LastError(code="invalid_file" if row.status == "failed" else "server_error", message=row.error)
        if row.error
        else None,
        "usage_bytes": row.bytes,
        "attributes": row.details,
        "document_id": row.id,
        "filename": row.name,
        "indexed_chunks": row.indexed or 0,
        "planned_chunks": row.planned,
        "transcribed_s": row.transcribed_s,
        "chunking_strategy": _chunking_of(row.chunking),
    }
    return VectorStoreFile.model_validate(values)


def _chunking_of(own: Mapping[str, Any] | None) -> dict[str, Any]:
    if own is None or own["strategy"] != "fixed":
        return {"type": "other"}  # the store's way, which says more than OpenAI's words
    static = {"max_chunk_size_tokens": own["max_tokens"], "chunk_overlap_tokens": own["overlap_tokens"]}
    return {"type": "static", "static": static}


def _is_file(tenant: str, store_id: str, file_id: str) -> ColumnElement[bool]:
    named = or_(DocumentRow.file_id == file_id, DocumentRow.id == file_id)
    return (DocumentRow.tenant == tenant) & (DocumentRow.store_id == store_id) & named


def _is_batch(tenant: str, store_id: str, batch_id: str) -> ColumnElement[bool]:
    return (FileBatchRow.id == batch_id) & (FileBatchRow.tenant == tenant) & (FileBatchRow.store_id == store_id)


def _no_file(file_id: str, store_id: str) -> DocumentNotFound:
    return DocumentNotFound(f"There is no file {file_id!r} in vector store {store_id!r}.")


def _no_batch(batch_id: str, store_id: str) -> BatchNotFound:
    return BatchNotFound(f"There is no batch {batch_id!r} in vector store {store_id!r}.")
