"""Takes, shows and removes files: the record and the content together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sluice.blobs import Blobs, BlobWriter
from sluice.clock import Clock
from sluice.contracts.files import FileObject
from sluice.errors import SluiceError
from sluice_gateway.adapters.form import read_upload
from sluice_gateway.domain.file_errors import FileTooLarge
from sluice_gateway.domain.files import Content, Span, new_file, wanted_span
from sluice_gateway.domain.quotas import Expected, StorageFull, check_file
from sluice_gateway.files.store import FileStore, Removing
from sluice_gateway.quota_store import Held

_log = logging.getLogger(__name__)
_FORM_OVERHEAD = 64 * 1024


class Opened(NamedTuple):
    """A file whose content can be sent: all of it, or the part that was asked for."""

    file: FileObject
    size: int
    span: Span | None
    chunks: AsyncIterator[bytes]


class Making(NamedTuple):
    """A file that is being written: its id, where its content goes, and what its tenant had before, if its quota bounds it."""

    id: str
    writer: BlobWriter
    held: Held | None

    def check(self, size: int) -> None:
        """Raise StorageFull if there is no room for a file of so many bytes."""
        if self.held is not None:
            check_file(size, self.held.file_bytes, self.held.quotas)


class StoresOfFiles(Protocol):
    """Vector stores, which hold what files say.

    When they are away the file is deleted all the same; the sweep asks again until they answer, and its text may be found until then.
    """

    async def forget_file(self, file_id: str, *, tenant: str) -> object:
        """Take a file out of all stores of a tenant; one that is in none is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Shelf:
    """Files of all tenants. `max_bytes` bounds one upload; a batch's files are kept `batch_keep_s` unless said otherwise."""

    store: FileStore
    blobs: Blobs
    clock: Clock
    new_id: Callable[[str], str]
    max_bytes: int
    batch_keep_s: int
    stores: StoresOfFiles | None = None

    async def receive(
        self, tenant: str, key_id: str, content_type: str, length: int | None, body: AsyncIterator[bytes]
    ) -> FileObject:
        """Store an upload as it arrives; it is kept for good when this returns.

        Raises:
            NotAForm: the body is not multipart/form-data.
            FormUnreadable: the form is broken or incomplete.
            UnknownPurpose: files of that purpose are not taken.
            FileTooLarge: the file is over the limit; the rest of it is not read.
            StorageFull: the tenant's files have no room for it; the rest of it is not read.
        """
        if length is not None and length > self.max_bytes + _FORM_OVERHEAD:
            raise self._too_large()
        said = length or 0
        expected = Expected(max(0, said - _FORM_OVERHEAD), min(said, self.max_bytes))
        async with self.making(tenant, key_id, expected) as making:
            file_id, writer, _ = making

            async def write(data: bytes) -> None:
                size = writer.size + len(data)
                if size > self.max_bytes:
                    raise self._too_large()
                making.check(size)
                await writer.write(data)

            form = await read_upload(content_type, body, write)
            content = Content(writer.size, writer.sha256)
            file = new_file(file_id, form.filename, form.fields, content, self.clock.now(), self.batch_keep_s)
        await self.show(tenant, file)
        return file

    @asynccontextmanager
    async def making(self, tenant: str, key_id: str, expected: Expected | None = None) -> AsyncIterator[Making]:
        """Open a new file for writing. It is seen once the store has finished it.

        With `expected` the tenant's quota bounds it, and so much of that is held meanwhile. When the block raises nothing of it stays,
        also if this process is killed in it: the sweep then clears up.

        Raises:
            StorageFull: the tenant's files have no room for it.
        """
        file_id = self.new_id("file")
        held = await self.store.begin(file_id, tenant, key_id, self.clock.now(), expected)
        try:
            async with self.blobs.create(file_id) as writer:
                yield Making(file_id, writer, held)
        except BaseException:
            await asyncio.shield(self.store.forget(file_id))
            raise

    async def show(self, tenant: str, file: FileObject) -> None:
        """Show a file whose content is stored; what cannot be kept is removed.

        Raises:
            FileNotFound: the upload took so long that it was given up.
            StorageFull: the tenant's files have no room for it any more.
        """
        try:
            await self.store.finish(tenant, file)
        except StorageFull:
            await self._clear(Removing(file.id, tenant, in_stores=False))
            raise

    async def open(self, tenant: str, file_id: str, wanted: str | None) -> Opened:
        """Open a file of a tenant; `wanted` is a Range header.

        Raises:
            FileNotFound: this tenant has none of this id.
            RangeOutside: the range begins behind the file's end.
            BlobMissing: its content is gone.
        """
        file = await self.store.get(tenant, file_id)
        size = await self.blobs.size(file.id)
        span = wanted_span(wanted, size)
        chunks = self.blobs.read(file.id) if span is None else self.blobs.read(file.id, span.start, span.stop)
        return Opened(file, size, span, chunks)

    async def remove(self, tenant: str, file_id: str) -> None:
        """Remove a file that no open batch needs, also from vector stores.

        Raises:
            FileNotFound: this tenant has none of this id.
            FileInUse: a batch that has not ended needs it.
        """
        await self._clear(await self.store.remove(tenant, file_id))

    async def sweep(self) -> int:
        """Remove what has expired and what crashes and outages have left; return how many files that were."""
        found = await self.store.to_remove(self.clock.now())
        removed, answers = 0, True
        for file in found:
            gone = await self._clear(file, ask=answers)
            removed, answers = removed + gone, answers and gone
        return removed

    async def _clear(self, file: Removing, *, ask: bool = True) -> bool:
        """Remove what is kept of a file; return whether that was all. What vector stores hold is tried again by the next sweep."""
        gone = not file.in_stores or self.stores is None or (ask and await self._forgotten(self.stores, file))
        await self.blobs.remove(file.id)
        if gone:
            await self.store.forget(file.id)
        return gone

    async def _forgotten(self, stores: StoresOfFiles, file: Removing) -> bool:
        try:
            await stores.forget_file(file.id, tenant=file.tenant)
        except SluiceError as exc:
            _log.warning("vector stores may still hold the deleted file %s: %s", file.id, exc.detail)
            return False
        return True

    def _too_large(self) -> FileTooLarge:
        return FileTooLarge(
            f"A file may have {self.max_bytes} bytes. Send less, or have SLUICE_GATEWAY_MAX_FILE_BYTES raised."
        )
