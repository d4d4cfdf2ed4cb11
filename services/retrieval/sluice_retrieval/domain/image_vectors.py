"""Vectors of what images look like, beside those of their captions: found by a question that asks for a picture (F148)."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sluice.clock import Clock
from sluice.errors import SluiceError
from sluice_retrieval.domain.bm25 import SparseVector
from sluice_retrieval.domain.ingest import chunk_id
from sluice_retrieval.domain.points import Dense, Passage, Point, Probe, Scope, Scored, Searcher, Selector, VectorStore
from sluice_retrieval.domain.spaces import VectorSpaces, space_of

_log = logging.getLogger(__name__)
_AT_ONCE = 16
_PAGE = 64
_REST_S = 30.0
_MARK = "image:"
_NO_WORDS = SparseVector((), ())
RANKING = "image"
"""The name of the ranking by looks."""


class ImageEmbedder(Protocol):
    """A multimodal model: images and texts become vectors of one space.

    When it is away, late or answers with something else it raises `DependencyUnavailable`, `DeadlineExceeded` or `UpstreamFailed`: a search then goes on
    without it and says so in `degraded`, and an image waits for its vector and is found by its caption meanwhile.
    """

    @property
    def space(self) -> str:
        """Names the model and the length of its vectors."""
        ...

    async def of_image(self, picture: bytes) -> tuple[float, ...]:
        """Return the vector of a WebP."""
        ...

    async def of_text(self, text: str) -> tuple[float, ...]:
        """Return the vector of a text."""
        ...


def image_space(model: str, dimensions: int) -> str:
    """Return the id of the space in which a model's image vectors lie; no text vectors share it."""
    return _MARK + space_of(model, dimensions)


def is_image_space(space: str) -> bool:
    """Tell whether vectors of images lie in a space."""
    return space.startswith(_MARK)


class WithImages:
    """Searches texts and images: probes of images go to the space of their vectors."""

    def __init__(self, texts: Searcher, images: Searcher) -> None:
        self._texts = texts
        self._images = images

    async def search(
        self, scope: Scope, probes: Sequence[Probe], limit: int, *, with_vectors: bool = False
    ) -> list[list[Scored]]:
        """Return one ranking for each probe."""
        of_images = [isinstance(probe, Dense) and probe.images for probe in probes]
        texts = [probe for probe, is_image in zip(probes, of_images, strict=True) if not is_image]
        images = [probe for probe, is_image in zip(probes, of_images, strict=True) if is_image]
        by_words = self._texts.search(scope, texts, limit, with_vectors=with_vectors)
        found_texts, found_images = await asyncio.gather(by_words, self._images.search(scope, images, limit))
        left, right = iter(found_texts), iter(found_images)
        return [next(right) if is_image else next(left) for is_image in of_images]


class Unseen(NamedTuple):
    """A ready image without a vector of its looks; its text lies in `text_space`."""

    selector: Selector
    text_space: str
    thumbnail: bytes


class ImageRecord(Protocol):
    """What is known of images and their vectors; with the database away every method raises."""

    async def claim(self, space: str, holder: str, now: float, until: float) -> bool:
        """Let one worker fill a space until its lease ends; false if another one does."""
        ...

    async def unseen(self, space: str, limit: int, skip: Collection[str]) -> Sequence[Unseen]:
        """Return ready images without a vector in a space, oldest first."""
        ...

    async def seen(self, document_id: str, space: str) -> bool:
        """Note that an image has its vector; false if it is gone."""
        ...

    async def note_removal(self, selector: Selector) -> None:
        """Remember that points are to be removed."""
        ...


@dataclass(frozen=True, slots=True)
class ImageIndexer:
    """Gives images the vectors of their looks, from their thumbnails: new ones, those that were there before, and all of them when the model changes.

    One worker does it at a time. A vector has the id and the passage of the first chunk of the image's text, so that both rankings name the same hit.
    """

    record: ImageRecord
    spaces: VectorSpaces
    embedder: ImageEmbedder
    clock: Clock
    holder: str
    lease_s: float
    resting: dict[str, float] = field(default_factory=dict)

    async def round(self) -> bool:
        """Do some; return whether there is more to do soon."""
        space, now = self.embedder.space, self.clock.now()
        if not await self.record.claim(space, self.holder, now, now + self.lease_s):
            return False
        for document_id in [one for one, until in self.resting.items() if until <= now]:
            del self.resting[document_id]
        found = await self.record.unseen(space, _AT_ONCE, tuple(self.resting))
        done = await asyncio.gather(*(self._tried(one) for one in found))
        return any(done)

    async def _tried(self, one: Unseen) -> bool:
        try:
            await self._see(one)
        except SluiceError as exc:
            _log.warning("image %s stays without a vector for now: %s", one.selector.document_id, exc.detail)
            self.resting[one.selector.document_id or ""] = self.clock.now() + _REST_S
            return False
        return True

    async def _see(self, one: Unseen) -> None:
        vector = await self.embedder.of_image(one.thumbnail)
        passage = await _first_passage(await self.spaces.of(one.text_space), one.selector)
        document_id = one.selector.document_id or ""
        if passage is not None:
            target = await self.spaces.of(self.embedder.space)
            await target.upsert([Point(one.selector.tenant, passage, vector, _NO_WORDS)])
        if not await self.record.seen(document_id, self.embedder.space):
            await self.record.note_removal(one.selector)


async def _first_passage(texts: VectorStore, selector: Selector) -> Passage | None:
    wanted, after = chunk_id(selector.document_id or "", 0), None
    while True:
        page = await texts.page(selector, after, _PAGE)
        for point in page.points:
            if point.passage.chunk_id == wanted:
                return point.passage
        after = page.after
        if after is None:
            return None
