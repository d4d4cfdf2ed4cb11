"""Searches of the embedded engine over documents by name: their vectors are kept in memory, and compared there."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import qdrant_edge as qdrant

from sluice.errors import DependencyUnavailable
from sluice.machine_code import Processor, can_compile
from sluice_retrieval.adapters.document_vectors import DocumentVectors, Rows
from sluice_retrieval.adapters.edge_shard import DENSE, equals
from sluice_retrieval.adapters.payloads import DOCUMENT

_AT_ONCE = 500
Reader = Callable[[Callable[[], Any]], Awaitable[Any]]


class Found(NamedTuple):
    """What a search found of a point, as the engine tells it."""

    score: float
    payload: Any
    vector: Any


class NamedDocuments:
    """The vectors of documents that searches named lately, read from a shard; `read` has a thread do what it is given.

    All methods are for the loop's thread.
    """

    def __init__(self, shard: Any, read: Reader, memory: DocumentVectors) -> None:
        self._shard = shard
        self._read = read
        self._memory = memory
        self._reading: asyncio.Task[None] | None = None
        self._wanted: dict[str, None] = {}
        self._unchanged = ""  # the document that is being read, as long as it stays as it is

    @classmethod
    def open(cls, shard: Any, read: Reader, dimensions: int, most_bytes: int) -> "NamedDocuments | None":
        """Return room for so many bytes of vectors; None without any, or where no machine code can compare them."""
        if not most_bytes or not can_compile(Processor.here()):
            return None
        return cls(shard, read, DocumentVectors(dimensions, most_bytes))

    def nearest(
        self, vector: Sequence[float], documents: Collection[str], limit: int, with_vectors: Sequence[str]
    ) -> tuple[list[Found], list[str]]:
        """Return the best points of the documents that are in memory by cosine, in no order, and the documents that are not; these are read for the next time."""
        here, missing = self._memory.split(documents)
        near = {one.id: one.score for one in self._memory.nearest(vector, here, limit)}
        records = (
            self._shard.retrieve(list(near), with_payload=True, with_vector=list(with_vectors) or False) if near else ()
        )
        if missing and self._memory.has_room(len(documents)):
            self._wanted.update(dict.fromkeys(missing))
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._remember())
        return [Found(near[one.id], one.payload, one.vector) for one in records], missing

    def forget(self, documents: Collection[str]) -> None:
        """Forget documents, which have changed."""
        if self._unchanged in documents:
            self._unchanged = ""
        self._memory.forget(documents)

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading

    async def _remember(self) -> None:
        while self._wanted:  # one by one, so that no search waits for long
            document = self._unchanged = next(iter(self._wanted))
            with suppress(DependencyUnavailable):  # searches go on without
                ids, rows = await self._read(partial(self._rows_of, document))
                if self._unchanged:
                    self._memory.keep(document, ids, rows)
            del self._wanted[document]

    def _rows_of(self, document: str) -> tuple[list[UUID], Rows]:
        ids: list[UUID] = []
        vectors: list[list[float]] = []
        chosen, offset = qdrant.Filter(must=[equals(DOCUMENT, document)]), None
        while True:
            request = qdrant.ScrollRequest(
                offset=offset, limit=_AT_ONCE, filter=chosen, with_payload=False, with_vector=[DENSE]
            )
            records, offset = self._shard.scroll(request)
            ids += [one.id for one in records]
            vectors += [one.vector[DENSE] for one in records]
            if offset is None:
                return ids, self._memory.packed(vectors)
