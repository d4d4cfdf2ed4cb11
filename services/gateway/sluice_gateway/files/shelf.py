"""Takes, shows and removes files: the record and the content together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from sluice.blobs import Blobs, BlobWriter
from sluice.clock import Clock
from sluice.contracts.files import FileObject
from sluice_gateway.adapters.form import read_upload
from sluice_gateway.domain.file_errors import FileTooLarge
from sluice_gateway.domain.files import Content, Span, new_file, wanted_span
from sluice_gateway.files.store import FileStore

_FORM_OVERHEAD = 64 * 1024


class Opened(NamedTuple):
    """A file whose content can be sent: all of it, or the part that was asked for."""

    file: FileObject
    size: int
    span: Span | None
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Files of all tenants. `max_bytes` bounds one upload; a batch's files are kept `batch_keep_s` unless said otherwise."""

    store: FileStore
    blobs: Blobs
    clock: Clock
    new_id: Callable[[str], str]
    max_bytes: int
    batch_keep_s: int

    async def receive(
        self, tenant: str, key_id: str, content_type: str, length: int | None, body: AsyncIterator[bytes]
    ) -> FileObject:
        """Store an upload as it arrives; it is kept for good when this returns.

        Raises:
            NotAForm: the body is not multipart/form-data.
            FormUnreadable: the form is broken or incomplete.
            UnknownPurpose: files of that purpose are not taken.
            FileTooLarge: the file is over the limit; the rest of it is not read.
        """
        if length is not None and length > self.max_bytes + _FORM_OVERHEAD:
            raise self._too_large()
        async with self.making(tenant, key_id) as (file_id, writer):

            async def write(data: bytes) -> None:
                if writer.size + len(data) > self.max_bytes:
                    raise self._too_large()
                await writer.write(data)

            form = await read_upload(content_type, body, write)
            content = Content(writer.size, writer.sha256)
            file = new_file(file_id, form.filename, form.fields, content, self.clock.now(), self.batch_keep_s)
        await self.store.finish(file)
        return file

    @asynccontextmanager
    async def making(self, tenant: str, key_id: str) -> AsyncIterator[tuple[str, BlobWriter]]:
        """Open a new file for writing: its id, and where its content goes. It is seen once the store has finished it.

        When the block raises nothing of it stays, also if this process is killed in it: the sweep then clears up.
        """
        file_id = self.new_id("file")
        await self.store.begin(file_id, tenant, key_id, self.clock.now())
        try:
            async with self.blobs.create(file_id) as writer:
                yield file_id, writer
        except BaseException:
            await asyncio.shield(self.store.forget(file_id))
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
        """Remove a file that no open batch needs.

        Raises:
            FileNotFound: this tenant has none of this id.
            FileInUse: a batch that has not ended needs it.
        """
        await self.store.remove(tenant, file_id)
        await self._clear(file_id)

    async def sweep(self) -> int:
        """Remove what has expired and what crashes and outages have left; return how many files that were."""
        found = await self.store.to_remove(self.clock.now())
        for file_id in found:
            await self._clear(file_id)
        return len(found)

    async def _clear(self, file_id: str) -> None:
        await self.blobs.remove(file_id)
        await self.store.forget(file_id)

    def _too_large(self) -> FileTooLarge:
        return FileTooLarge(
            f"A file may have {self.max_bytes} bytes. Send less, or have SLUICE_GATEWAY_MAX_FILE_BYTES raised."
        )
