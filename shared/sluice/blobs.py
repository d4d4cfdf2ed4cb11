"""Files' content, apart from what is known of the files: a port, and the adapter for a local folder."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from sluice.errors import DependencyUnavailable, SluiceError

CHUNK_BYTES = 256 * 1024


class BlobMissing(SluiceError):
    """A file is known and its content is not where it should be."""

    code, title = "file_content_missing", "File content missing"


class BlobWriter(Protocol):
    """Takes the content of one new blob piece by piece; `size` (bytes) and `sha256` (hexadecimal) are of what came so far."""

    @property
    def size(self) -> int:
        """Bytes written so far."""
        ...

    @property
    def sha256(self) -> str:
        """Digest of what was written so far, in hexadecimal."""
        ...

    async def write(self, data: bytes) -> None:
        """Append."""
        ...


class Blobs(Protocol):
    """Blobs by key (a name without slashes), written once and never changed.

    A blob appears whole or not at all, and outlives every process once `create` has ended. Degraded mode: while the store
    is away every method raises DependencyUnavailable; nothing is kept elsewhere in the meantime.
    """

    def create(self, key: str) -> AbstractAsyncContextManager[BlobWriter]:
        """Open a new blob; it is kept when the block ends well and leaves nothing behind when it raises."""
        ...

    def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to before `stop` in pieces, or raise BlobMissing."""
        ...

    async def size(self, key: str) -> int:
        """Return the number of bytes, or raise BlobMissing."""
        ...

    async def remove(self, key: str) -> None:
        """Remove a blob; one that is gone already is no error."""
        ...


class Measured:
    """Counts and digests what is written, for the writers of all adapters."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def take(self, data: bytes) -> None:
        """Count and digest the next piece."""
        self.size += len(data)
        self._hash.update(data)

    @property
    def sha256(self) -> str:
        """Digest of what was taken so far, in hexadecimal."""
        return self._hash.hexdigest()


class _FolderWriter(Measured):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    async def write(self, data: bytes) -> None:
        self.take(data)
        await asyncio.to_thread(self._file.write, data)


class FolderBlobs:
    """Blobs below one folder, which every process that uses them sees.

    A blob is written beside, brought to the disk (fsync), and renamed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[BlobWriter]:
        """Open a new blob; it is kept when the block ends well and removed when it raises."""
        path = self.folder / key
        part = self.folder / f"{key}.part"
        try:
            file = await asyncio.to_thread(_open_new, part)
        except OSError as exc:
            raise _away(exc) from exc
        try:
            writer = _FolderWriter(file)
            try:
                yield writer
                await asyncio.to_thread(_publish, file, part, path)
            except OSError as exc:
                raise _away(exc) from exc
        except BaseException:
            file.close()
            part.unlink(missing_ok=True)
            raise

    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to before `stop` in pieces, or raise BlobMissing."""
        file = await asyncio.to_thread(self._open, key)
        try:
            file.seek(start)
            left = None if stop is None else stop - start
            while left is None or left > 0:
                chunk = await asyncio.to_thread(file.read, CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
                if not chunk:
                    return
                left = None if left is None else left - len(chunk)
                yield chunk
        finally:
            file.close()

    async def size(self, key: str) -> int:
        """Return the number of bytes, or raise BlobMissing."""
        try:
            return (await asyncio.to_thread((self.folder / key).stat)).st_size
        except FileNotFoundError as exc:
            raise missing() from exc

    async def remove(self, key: str) -> None:
        """Remove a blob, and what an upload that was cut off has left of it; one that is gone already is no error."""
        await asyncio.to_thread((self.folder / key).unlink, missing_ok=True)
        await asyncio.to_thread((self.folder / f"{key}.part").unlink, missing_ok=True)

    def _open(self, key: str) -> BinaryIO:
        try:
            return (self.folder / key).open("rb")
        except FileNotFoundError as exc:
            raise missing() from exc


def missing() -> BlobMissing:
    """Return the error for a content that is gone."""
    return BlobMissing("The content of the file is not in this installation's store any more.")


def _away(exc: OSError) -> DependencyUnavailable:
    return DependencyUnavailable(f"The file's content cannot be stored now ({exc.strerror or type(exc).__name__}).")


def _open_new(part: Path) -> BinaryIO:
    part.parent.mkdir(parents=True, exist_ok=True)
    return part.open("wb")


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
