"""Queries for files; every query that a caller causes names the tenant."""

from typing import Any, NamedTuple

from sqlalchemy import Select, and_, delete, or_, select, update

from sluice.contracts.files import FileObject
from sluice.contracts.paging import Order
from sluice.db import AsyncSession, Database
from sluice_gateway.batches.tables import BatchRow
from sluice_gateway.domain.batches import ENDED
from sluice_gateway.domain.file_errors import FileInUse, FileNotFound
from sluice_gateway.domain.files import PageOfFiles
from sluice_gateway.domain.quotas import Expected, check_file
from sluice_gateway.files.tables import FileRow
from sluice_gateway.quota_store import Held, QuotaStore

_UNFINISHED_AFTER_S = 24 * 3600


class Removing(NamedTuple):
    """A file that is gone for its tenant, and whether vector stores may hold its text."""

    id: str
    tenant: str
    in_stores: bool


class FileStore:
    """Records of files; every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database, quotas: QuotaStore) -> None:
        self._database = database
        self._quotas = quotas

    async def begin(
        self, file_id: str, tenant: str, key_id: str, now: float, expected: Expected | None = None
    ) -> Held | None:
        """Note a file whose content is about to come, and return what its tenant had before; nobody sees it before it is finished.

        What it is expected to have is held of the tenant's quota meanwhile; without that the quota does not bound it.

        Raises:
            StorageFull: there is no room for so much.
        """
        async with self._database.write() as session:
            held, holds = None, 0
            if expected is not None:
                held = await self._quotas.hold(session, tenant)
                check_file(expected.least, held.file_bytes, held.quotas)
                holds = min(expected.most, held.quotas.file_bytes - held.file_bytes)
            session.add(
                FileRow(
                    id=file_id,
                    tenant=tenant,
                    key_id=key_id,
                    state="uploading",
                    filename="",
                    purpose="",
                    bytes=holds,
                    sha256="",
                    created_at=int(now),
                )
            )
            return held

    async def finish(self, tenant: str, file: FileObject) -> None:
        """Show a file whose content is stored.

        Raises:
            FileNotFound: the upload took so long that it was given up.
            StorageFull: it became longer than what was held for it, and there is no room any more.
        """
        async with self._database.write() as session:
            held = await self._quotas.hold(session, tenant)
            row = await session.get(FileRow, file.id)
            if row is not None and file.bytes > row.bytes:
                check_file(file.bytes, held.file_bytes - row.bytes, held.quotas)
            await finish_file(session, file)

    async def get(self, tenant: str, file_id: str) -> FileObject:
        """Return a file.

        Raises:
            FileNotFound: this tenant has none of this id.
        """
        async with self._database.read() as session:
            row = await session.scalar(ready_file(tenant, file_id))
            if row is None:
                raise not_found(file_id)
            return shown_file(row)

    async def page(self, tenant: str, purpose: str | None, limit: int, after: str | None, order: Order) -> PageOfFiles:
        """Return at most `limit + 1` files of a tenant, by time of making."""
        query = select(FileRow).where(FileRow.tenant == tenant, FileRow.state == "ready").limit(limit + 1)
        if purpose is not None:
            query = query.where(FileRow.purpose == purpose)
        ascending = order == "asc"
        if after is not None:
            query = query.where(FileRow.id > after if ascending else FileRow.id < after)
        query = query.order_by(FileRow.id.asc() if ascending else FileRow.id.desc())
        async with self._database.read() as session:
            return [shown_file(row) for row in await session.scalars(query)]

    async def note_reader(self, tenant: str, file_id: str) -> None:
        """Note that vector stores may hold a file's text from now on."""
        async with self._database.write() as session:
            await session.execute(
                update(FileRow)
                .where(FileRow.id == file_id, FileRow.tenant == tenant, ~FileRow.in_stores)
                .values(in_stores=True)
            )

    async def remove(self, tenant: str, file_id: str) -> Removing:
        """Hide a file for good, and return it; its content can then be removed.

        Raises:
            FileNotFound: this tenant has none of this id.
            FileInUse: a batch that has not ended needs it.
        """
        async with self._database.write() as session:
            row = await session.scalar(ready_file(tenant, file_id).with_for_update())
            if row is None:
                raise not_found(file_id)
            user = await session.scalar(
                select(BatchRow.id).where(BatchRow.input_file_id == file_id, BatchRow.status.not_in(ENDED)).limit(1)
            )
            if user is not None:
                raise FileInUse(f"The batch {user} needs this file; cancel it or wait for its end.")
            row.state = "removing"
            return Removing(row.id, row.tenant, row.in_stores)

    async def to_remove(self, now: float, limit: int = 100) -> list[Removing]:
        """Hide files that have expired and uploads that were cut off; return all whose content is to be removed, last those that vector stores may hold."""
        in_use = select(BatchRow.id).where(BatchRow.input_file_id == FileRow.id, BatchRow.status.not_in(ENDED)).exists()
        due = or_(
            FileRow.state == "removing",
            and_(FileRow.state == "uploading", FileRow.created_at < now - _UNFINISHED_AFTER_S),
            and_(FileRow.state == "ready", FileRow.expires_at <= now, ~in_use),
        )
        async with self._database.read() as session:
            first = select(FileRow.id).where(due).order_by(FileRow.in_stores, FileRow.id)
            found = list(await session.scalars(first.limit(limit)))
        if found:
            async with self._database.write() as session:
                await session.execute(update(FileRow).where(FileRow.id.in_(found), due).values(state="removing"))
                removing = select(FileRow.id, FileRow.tenant, FileRow.in_stores).where(
                    FileRow.id.in_(found), FileRow.state == "removing"
                )
                return [Removing(*row) for row in await session.execute(removing)]
        return []

    async def forget(self, file_id: str) -> None:
        """Delete the record of a file whose content is gone."""
        async with self._database.write() as session:
            await session.execute(delete(FileRow).where(FileRow.id == file_id, FileRow.state != "ready"))


def ready_file(tenant: str, file_id: str) -> Select[Any]:
    """Return the query for one file of a tenant."""
    return select(FileRow).where(FileRow.id == file_id, FileRow.tenant == tenant, FileRow.state == "ready")


def not_found(file_id: str) -> FileNotFound:
    """Return the error for a file that is not there."""
    return FileNotFound(f"There is no file {file_id!r}. GET /v1/files lists yours.")


async def finish_file(session: AsyncSession, file: FileObject) -> None:
    """Show a file whose content is stored, in a transaction that may hold more."""
    row = await session.get(FileRow, file.id, with_for_update=True)
    if row is None or row.state != "uploading":
        raise not_found(file.id)
    row.state, row.filename, row.purpose = "ready", file.filename, file.purpose
    row.bytes, row.sha256, row.created_at, row.expires_at = file.bytes, file.sha256, file.created_at, file.expires_at


def shown_file(row: FileRow) -> FileObject:
    """Return a file as the API answers it."""
    return FileObject(
        id=row.id,
        bytes=row.bytes,
        created_at=row.created_at,
        filename=row.filename,
        purpose=row.purpose,
        expires_at=row.expires_at,
        sha256=row.sha256,
    )
