"""Queries for uploaded files."""

from typing import Any, NamedTuple

from sqlalchemy import Select, delete, or_, select

from sluice.contracts.finetune import FileObject
from sluice.contracts.paging import Page, PageQuery
from sluice.db import Database
from sluice_finetune.domain.errors import FileInUse, FileNotFound
from sluice_finetune.domain.jobs import ENDED
from sluice_finetune.tables import FileRow, JobRow


class StoredFile(NamedTuple):
    """A file and the key of its content."""

    file: FileObject
    blob: str


class Files:
    """Files of all tenants; every query names the tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tenant: str, file: FileObject, blob: str) -> None:
        """Keep a file whose content is stored under `blob`."""
        async with self._database.write() as session:
            session.add(
                FileRow(
                    id=file.id,
                    tenant=tenant,
                    filename=file.filename,
                    purpose=file.purpose,
                    bytes=file.bytes,
                    sha256=file.sha256,
                    blob=blob,
                    created_at=file.created_at,
                )
            )

    async def get(self, tenant: str, file_id: str) -> StoredFile:
        """Return a file.

        Raises:
            FileNotFound: this tenant has none of this id.
        """
        async with self._database.read() as session:
            row = await session.scalar(_one(tenant, file_id))
            if row is None:
                raise FileNotFound(f"There is no file {file_id!r}.")
            return StoredFile(_shown(row), row.blob)

    async def blob_of(self, tenant: str, file_id: str) -> str | None:
        """Return the key of a file's content, or None if there is no such file."""
        async with self._database.read() as session:
            row = await session.scalar(_one(tenant, file_id))
            return None if row is None else str(row.blob)

    async def list(self, tenant: str, page: PageQuery, purpose: str | None) -> Page[FileObject]:
        """Return one page of a tenant's files."""
        query = select(FileRow).where(FileRow.tenant == tenant).limit(page.limit + 1)
        if purpose is not None:
            query = query.where(FileRow.purpose == purpose)
        newest_first = page.order == "desc"
        if page.after is not None:
            query = query.where(FileRow.id < page.after if newest_first else FileRow.id > page.after)
        query = query.order_by(FileRow.id.desc() if newest_first else FileRow.id)
        async with self._database.read() as session:
            shown = [_shown(row) for row in await session.scalars(query)]
        return Page[FileObject].of(shown, page.limit)

    async def remove(self, tenant: str, file_id: str) -> str:
        """Forget a file and return the key of its content, which can then be removed.

        Raises:
            FileNotFound: this tenant has none of this id.
            FileInUse: a job that has not ended needs it.
        """
        async with self._database.write() as session:
            row = await session.scalar(_one(tenant, file_id).with_for_update())
            if row is None:
                raise FileNotFound(f"There is no file {file_id!r}.")
            user = await session.scalar(
                select(JobRow.id)
                .where(JobRow.tenant == tenant, JobRow.status.not_in(ENDED))
                .where(or_(JobRow.training_file == file_id, JobRow.validation_file == file_id))
                .limit(1)
            )
            if user is not None:
                raise FileInUse(f"The job {user} needs this file; cancel it or wait for its end.")
            await session.execute(delete(FileRow).where(FileRow.id == file_id, FileRow.tenant == tenant))
            return str(row.blob)


def _one(tenant: str, file_id: str) -> Select[Any]:
    return select(FileRow).where(FileRow.id == file_id, FileRow.tenant == tenant)


def _shown(row: FileRow) -> FileObject:
    return FileObject(
        id=row.id,
        bytes=row.bytes,
        created_at=row.created_at,
        filename=row.filename,
        purpose=row.purpose,
        sha256=row.sha256,
    )
