"""Files' content in a local folder."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from sluice_finetune.domain.errors import BlobMissing
from sluice_finetune.domain.validation import LineTooLong

_CHUNK = 256 * 1024


class BlobWriter:
    """Takes the content of one new blob piece by piece."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Append."""
        self.size += len(data)
        self._hash.update(data)
        await asyncio.to_thread(self._file.write, data)

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in hexadecimal."""
        return self._hash.hexdigest()


class FolderBlobs:
    """Blobs below one folder, by key; the API and the worker see the same folder.

    A blob appears whole or not at all: it is written beside, brought to the disk (fsync), and renamed.
    """

    def __init__(self, folder: Path, max_line_bytes: int) -> None:
        self._folder = folder
        self._max_line_bytes = max_line_bytes

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[BlobWriter]:
        """Open a new blob; it is kept when the block ends well and removed when it raises."""
        path = self._folder / key
        part = path.with_suffix(".part")
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        file = await asyncio.to_thread(part.open, "wb")
        try:
            yield BlobWriter(file)
            await asyncio.to_thread(_publish, file, part, path)
        except BaseException:
            file.close()
            part.unlink(missing_ok=True)
            raise

    async def remove(self, key: str) -> None:
        """Remove a blob; one that is gone already is no error."""
        await asyncio.to_thread((self._folder / key).unlink, missing_ok=True)

    async def chunks(self, key: str) -> AsyncIterator[bytes]:
        """Yield the content in pieces.

        Raises:
            BlobMissing: the content is not there.
        """
        file = await asyncio.to_thread(self._open, key)
        try:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk
        finally:
            file.close()

    def lines(self, key: str) -> Iterator[bytes | LineTooLong]:
        """Yield the lines; one over the limit comes as `LineTooLong` and its rest is skipped.

        Raises:
            BlobMissing: the content is not there.
        """
        with self._open(key) as file:
            while line := file.readline(self._max_line_bytes + 1):
                if len(line) <= self._max_line_bytes or line.endswith(b"\n"):
                    yield line
                    continue
                while rest := file.readline(self._max_line_bytes):
                    if rest.endswith(b"\n"):
                        break
                yield LineTooLong(f"longer than {self._max_line_bytes} bytes")

    async def size(self, key: str) -> int:
        """Return the number of bytes.

        Raises:
            BlobMissing: the content is not there.
        """
        try:
            return (await asyncio.to_thread((self._folder / key).stat)).st_size
        except FileNotFoundError as exc:
            raise _missing() from exc

    def remove_unfinished(self, before: float) -> int:
        """Remove what uploads that a crash cut off have left, untouched since `before` (unix s). Return how many."""
        removed = 0
        for part in self._folder.glob("*.part"):
            if part.stat().st_mtime < before:
                part.unlink(missing_ok=True)
                removed += 1
        return removed

    def _open(self, key: str) -> BinaryIO:
        try:
            return (self._folder / key).open("rb")
        except FileNotFoundError as exc:
            raise _missing() from exc


def _missing() -> BlobMissing:
    return BlobMissing("The content of the file is not in this installation's store any more.")


def _publish(file: BinaryIO, part: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
