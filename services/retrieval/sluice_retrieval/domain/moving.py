"""When the embedding model changes: documents get vectors of the new one while the old ones answer, then the new ones do."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from sluice.clock import Clock
from sluice.errors import SluiceError
from sluice_retrieval.domain.chunking import embedded_text
from sluice_retrieval.domain.points import Point, VectorStore
from sluice_retrieval.domain.spaces import Lacking, Models, SpaceRecord, VectorSpaces

_log = logging.getLogger(__name__)
_PAGE = 64
_DOCUMENTS = 32
_AT_ONCE = 4
_REST_S = 30.0


class MoveObserver(Protocol):
    """Is told how a move goes; metrics stand behind it."""

    def moved(self, chunks: int) -> None:
        """A document has vectors of the new model."""
        ...

    def failed(self) -> None:
        """A document could not be given them now."""
        ...


@dataclass(frozen=True, slots=True)
class Mover:
    """Moves documents into the space of the wanted model, one worker at a time, document by document.

    A document's points are read from the space where they are, embedded again and put into the new one under the same ids;
    then the record notes it. So a worker that is killed loses one document's work at most, and another goes on. What fails is tried again
    after half a minute, the others go on meanwhile; the new space answers only once it has every document.
    """

    record: SpaceRecord
    spaces: VectorSpaces
    models: Models
    clock: Clock
    observer: MoveObserver
    holder: str
    lease_s: float
    resting: dict[str, float] = field(default_factory=dict)

    async def round(self) -> bool:
        """Move some documents; return whether there is more to do soon."""
        now = self.clock.now()
        space = await self.record.claim_move(self.holder, now, now + self.lease_s)
        if space is None:
            return False
        for document_id in [one for one, until in self.resting.items() if until <= now]:
            del self.resting[document_id]
        async with self._lease():
            found = await self.record.lacking(space, _DOCUMENTS, self.resting)
            slots = asyncio.Semaphore(_AT_ONCE)
            errors = await asyncio.gather(*(self._tried(document, space, slots) for document in found))
        error = next((one for one in errors if one is not None), None)
        if error is not None or (found and not self.resting):
            await self.record.note_error(space, error)
        if not found and not self.resting and await self.record.switch(space, self.clock.now()):
            _log.info("searches are answered by the vectors of %s from now on", space)
            return True  # look once more for what was made ready in this moment
        return len(errors) > sum(one is not None for one in errors)

    async def _tried(self, document: Lacking, space: str, slots: asyncio.Semaphore) -> str | None:
        async with slots:
            try:
                await self._move(document, space)
            except SluiceError as exc:
                _log.warning("document %s stays without vectors of %s: %s", document.selector.document_id, space, exc)
                self.observer.failed()
                self.resting[document.selector.document_id or ""] = self.clock.now() + _REST_S
                return exc.detail
            return None

    async def _move(self, document: Lacking, space: str) -> None:
        points = [one async for one in _points(await self.spaces.of(document.space), document)]
        if len(points) != document.chunks:
            await self.record.ingest_again(document, self.clock.now())
            return
        target = await self.spaces.of(space)
        await self._put(points, space, target)
        if await target.count(document.selector) != len(points):
            # an older state of the document had more chunks, and they lie here from an earlier move
            await target.delete(document.selector)
            await self._put(points, space, target)
        noted = await self.record.moved(document, space)
        if noted == "moved":
            self.observer.moved(len(points))
        elif noted == "gone":
            await self.record.note_removal(document.selector)

    async def _put(self, points: list[Point], space: str, target: VectorStore) -> None:
        embedder = self.models.of_space(space)
        for at in range(0, len(points), _PAGE):
            some = points[at : at + _PAGE]
            texts = [embedded_text(one.passage.heading, one.passage.text) for one in some]
            made = await embedder.embed(texts, "bulk", some[0].tenant)
            await target.upsert([one._replace(dense=dense) for one, dense in zip(some, made.vectors, strict=True)])

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator[None]:
        async def keep() -> None:
            while True:
                await asyncio.sleep(self.lease_s / 4)
                now = self.clock.now()
                await self.record.claim_move(self.holder, now, now + self.lease_s)

        keeper = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError, SluiceError):
                await keeper


async def _points(store: VectorStore, document: Lacking) -> AsyncIterator[Point]:
    after: str | None = None
    while True:
        page = await store.page(document.selector, after, _PAGE)
        for point in page.points:
            yield point
        after = page.after
        if after is None:
            return
