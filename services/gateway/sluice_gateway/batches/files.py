"""A batch's input as lines, and its answers as files."""

import sys
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sluice.clock import Clock
from sluice.contracts.files import FileObject
from sluice_gateway.domain.batch_lines import RawLine, RequestLine, read_request, split_lines, unanswered
from sluice_gateway.domain.batches import BatchBook, BatchFiles, Outcome, Work
from sluice_gateway.domain.files import BATCH_OUTPUT
from sluice_gateway.files.shelf import Shelf

_WRITE_BYTES = 256 * 1024
_NOT_ASKED: dict[Outcome, tuple[str, str]] = {
    "expired": ("batch_expired", "The batch's completion window ended before this request was answered."),
    "cancelled": ("batch_cancelled", "The batch was cancelled before this request was answered."),
    "failed": ("batch_failed", "The batch failed before this request was answered."),
    "completed": ("not_answered", "The request was not answered."),
}


@dataclass(frozen=True, slots=True)
class BatchPapers:
    """Reads inputs and writes outputs of batches."""

    shelf: Shelf
    book: BatchBook
    clock: Clock
    new_id: Callable[[str], str]

    def lines(self, work: Work, max_line_bytes: int) -> AsyncIterator[RawLine]:
        """Yield the lines of the input, or raise BlobMissing."""
        return split_lines(self.shelf.blobs.read(work.input_file_id), max_line_bytes)

    async def requests(self, work: Work) -> AsyncIterator[RequestLine]:
        """Yield the requests of an input that was found right."""
        async for line in self.lines(work, sys.maxsize):
            yield read_request(line, work.endpoint, sys.maxsize)

    async def write(self, work: Work, done: AbstractSet[int]) -> BatchFiles:
        """Write the answers of a batch into its files; nobody sees them before the book has finished it."""
        unasked = work.total - len(done)
        output = await self._file(work, "output", self._texts(work, ok=True)) if work.completed else None
        errors = await self._file(work, "error", self._all_errors(work, done)) if work.failed or unasked else None
        return BatchFiles(output, errors, unasked)

    async def _texts(self, work: Work, *, ok: bool) -> AsyncIterator[str]:
        async for answer in self.book.answers(work.key, ok=ok):
            yield answer.text

    async def _all_errors(self, work: Work, done: AbstractSet[int]) -> AsyncIterator[str]:
        async for text in self._texts(work, ok=False):
            yield text
        if len(done) == work.total:
            return
        code, message = _NOT_ASKED[work.outcome or "completed"]
        async for line in self.requests(work):
            if line.number not in done:
                yield unanswered(line.number, line.custom_id, code, message, self.new_id("batch_req")).text

    async def _file(self, work: Work, kind: str, texts: AsyncIterator[str]) -> FileObject:
        now = int(self.clock.now())
        async with self.shelf.making(work.key.tenant, work.on_behalf.key_id) as (file_id, writer, _):
            buffered = bytearray()
            async for text in texts:
                buffered += text.encode()
                buffered += b"\n"
                if len(buffered) >= _WRITE_BYTES:
                    await writer.write(bytes(buffered))
                    buffered.clear()
            await writer.write(bytes(buffered))
        return FileObject(
            id=file_id,
            bytes=writer.size,
            created_at=now,
            filename=f"{work.key.batch_id}_{kind}.jsonl",
            purpose=BATCH_OUTPUT,
            expires_at=now + work.output_keep_s,
            sha256=writer.sha256,
        )
