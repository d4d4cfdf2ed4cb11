"""Files' content in an S3-compatible bucket, through obstore (the `s3` extra)."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from sluice.blobs import CHUNK_BYTES, BlobWriter, Measured, missing
from sluice.errors import DependencyUnavailable

if TYPE_CHECKING:
    from obstore import AsyncWritableFile  # names for type checkers only
    from obstore.store import S3Config

_PART_BYTES = 8 * 1024 * 1024
_CONNECT_S = timedelta(seconds=5)
_RETRY_S = timedelta(seconds=20)


class Bucket(NamedTuple):
    """A bucket and how it is reached; an empty endpoint is Amazon's, empty credentials are the machine's own."""

    name: str
    prefix: str
    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str


class _PartWriter(Measured):
    def __init__(self, file: "AsyncWritableFile") -> None:
        super().__init__()
        self._file = file

    async def write(self, data: bytes) -> None:
        self.take(data)
        with _errors():
            await self._file.write(data)


class BucketBlobs:
    """Blobs below a prefix of a bucket; a blob is seen once its upload is complete, which the store itself sees to.

    Parts of an upload that was cut off are not seen and not removed from here: let the bucket have a rule that aborts incomplete
    uploads after a day.
    """

    def __init__(self, store: S3Store) -> None:
        self._store = store

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[BlobWriter]:
        """Open a new blob; it is kept when the block ends well."""
        # The file is closed, and thereby shown, by hand: leaving its own block would also show what is half written.
        file = obstore.open_writer_async(self._store, key, buffer_size=_PART_BYTES)
        yield _PartWriter(file)
        with _errors():
            await file.close()

    async def read(self, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to before `stop` in pieces, or raise BlobMissing."""
        end = await self.size(key) if stop is None else stop
        if start >= end:
            return
        with _errors():
            found = await obstore.get_async(self._store, key, options={"range": (start, end)})
            async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    async def size(self, key: str) -> int:
        """Return the number of bytes, or raise BlobMissing."""
        with _errors():
            return (await obstore.head_async(self._store, key))["size"]

    async def remove(self, key: str) -> None:
        """Remove a blob; one that is gone already is no error."""
        with _errors():
            try:
                await obstore.delete_async(self._store, key)
            except (NotFoundError, FileNotFoundError):
                return


def open_bucket(place: Bucket) -> BucketBlobs:
    """Return the blobs of a bucket; nothing is connected until the first call."""
    return BucketBlobs(
        S3Store(
            prefix=place.prefix or None,
            client_options={"allow_http": place.endpoint.startswith("http://"), "connect_timeout": _CONNECT_S},
            retry_config={"max_retries": 3, "retry_timeout": _RETRY_S},
            **_config(place),
        )
    )


def _config(place: Bucket) -> "S3Config":
    # What is left out comes from the machine: AWS_* variables, or the role of the instance or pod.
    found: S3Config = {"bucket": place.name, "virtual_hosted_style_request": not place.endpoint}
    if place.endpoint:
        found["endpoint"] = place.endpoint
    if place.region:
        found["region"] = place.region
    if place.access_key_id:
        found["access_key_id"] = place.access_key_id
        found["secret_access_key"] = place.secret_access_key
    return found


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as exc:
        raise missing() from exc
    except (BaseError, OSError) as exc:
        raise DependencyUnavailable(f"The bucket with the files does not answer ({type(exc).__name__}).") from exc
