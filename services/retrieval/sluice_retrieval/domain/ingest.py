"""Ingestion of one document: claim, chunk, embed, index, make ready."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sluice.clock import Clock
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_retrieval.domain.bm25 import Bm25Parameters, document_vectors, frequency_vector, terms
from sluice_retrieval.domain.chunking import Chunk, chunk_document, document_sections
from sluice_retrieval.domain.documents import MARKDOWN, PLAIN, checked_text, decoded
from sluice_retrieval.domain.embedding import Embedder
from sluice_retrieval.domain.errors import (
    DocumentNotFound,
    DocumentTooLarge,
    DocumentTypeUnknown,
    DocumentUnreadable,
    EmbeddingInputInvalid,
)
from sluice_retrieval.domain.extraction import AS_TEXT, Extractor, FileFormat, FileSource, format_of
from sluice_retrieval.domain.images import Picture, text_of
from sluice_retrieval.domain.language import ENGLISH, language_of
from sluice_retrieval.domain.library import Done, IngestRecord, Job
from sluice_retrieval.domain.points import Passage, Point, Selector, VectorStore
from sluice_retrieval.domain.questions.understanding import LanguageTeller
from sluice_retrieval.domain.recordings import Listener, TranscriptionFailed
from sluice_retrieval.domain.spaces import Models, VectorSpaces
from sluice_retrieval.domain.topics import topic_breaks

_log = logging.getLogger(__name__)
_BATCH = 32
_LARGEST_BATCH = 512
_SHORT_CHUNK_BYTES = 200
_QUICK_S, _SLOW_S = 0.5, 2.0
_RETRY_S = 5.0
_BROKE_OFF = "A run broke off in the midst of it; it is tried again."

REFUSED = (DocumentNotFound, DocumentUnreadable, DocumentTooLarge, DocumentTypeUnknown, EmbeddingInputInvalid)
"""What a file that can never become a document raises: it fails with the sentence."""

AWAY = (DependencyUnavailable, UpstreamFailed, DeadlineExceeded)
"""What a dependency that is away raises: the document waits and the attempt does not count against it."""


class IngestObserver(Protocol):
    """Is told how ingestion goes; metrics stand behind it."""

    def ended(self, status: str, chunks: int, seconds: float) -> None:
        """A run ended; `status` is ready, failed, skipped, retried or crashed."""
        ...


class Pace:
    """How many chunks go to the model and the index in one step: what took about half a second lately.

    A step is what a killed run loses. With a quick model most documents are one step, which spares them the record of
    how far they are, and several small ones go together.
    """

    def __init__(self) -> None:
        self.size = _BATCH

    def took(self, chunks: int, seconds: float) -> None:
        """Note how long a step took."""
        if seconds > _SLOW_S:
            self.size = max(_BATCH, self.size // 2)
        elif chunks > self.size // 2 and seconds * self.size < _QUICK_S * chunks:
            self.size = min(2 * self.size, _LARGEST_BATCH)

    @property
    def most_bytes(self) -> int:
        """How large documents may be that are one step together: of short chunks as many as a step has."""
        return self.size * _SHORT_CHUNK_BYTES


class _Prepared(NamedTuple):
    chunk: Chunk
    terms: list[str]
    language: str


class _Cut(NamedTuple):
    job: Job
    prepared: list[_Prepared]

    def done(self) -> Done:
        languages = {item.language for item in self.prepared}
        return Done(self.job, len(self.prepared), _terms(self.prepared), languages)


class _Alone(Exception):
    """Documents are better ingested one by one."""


@dataclass(frozen=True, slots=True)
class Ingestor:
    """Ingests documents, each at least once and with the same result however often.

    Chunks have ids that follow from the document's id and their position, so that a second run overwrites the first; it
    goes on after the last batch that the first one finished.
    When the vector store is away the document goes back to the queue and waits; nothing is lost.
    """

    record: IngestRecord
    spaces: VectorSpaces
    models: Models
    bm25: Bm25Parameters
    clock: Clock
    observer: IngestObserver
    lease_s: float
    files: FileSource
    extractor: Extractor
    languages: LanguageTeller
    listener: Listener
    pace: Pace = field(default_factory=Pace)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    cutting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def leave(self) -> None:
        """Take no more documents: the process ends."""
        self.leaving.set()

    async def work(self, selector: Selector) -> None:
        """Ingest a document, and then whatever else waits: a message says only that there is work."""
        await self.ingest(selector)
        while not self.leaving.is_set():
            now = self.clock.now()
            jobs = await self.record.claim_waiting(now, now + self.lease_s, self.pace.most_bytes)
            if not jobs or not await self._each_or_together(jobs):
                return

    async def ingest(self, selector: Selector) -> None:
        """Bring one document to `ready` or `failed`, or leave it to whoever has it."""
        now = self.clock.now()
        job = await self.record.claim(selector.tenant, selector.document_id or "", now, now + self.lease_s)
        if not isinstance(job, Job):
            if job == "gone":
                # It was deleted or replaced, perhaps while a worker was in the middle of it.
                await self.record.note_removal(selector)
            self.observer.ended("failed" if job == "spent" else "skipped", 0, 0.0)
            return
        await self._one(job)

    async def _each_or_together(self, jobs: Sequence[Job]) -> bool:
        """Ingest documents that were claimed together; return whether it makes sense to go on with others."""
        if len(jobs) == 1:
            return await self._one(jobs[0])
        async with self._lease(jobs):
            try:
                return await self._together(jobs)
            except (*REFUSED, _Alone):  # which of them it was is found out one by one
                return all([await self._one(job) for job in jobs])

    async def _together(self, jobs: Sequence[Job]) -> bool:
        started = self.clock.monotonic()
        try:
            cuts = await self._run_together(jobs)
        except (*REFUSED, _Alone):
            raise
        except AWAY as exc:
            _log.warning("%d documents wait: %s", len(jobs), exc.detail)
            await self._give_back(jobs, exc.detail, counted=False)
            return False
        except BaseException:
            await self._give_back(jobs, _BROKE_OFF, counted=True)
            raise
        for cut in cuts:
            self.observer.ended("ready", len(cut.prepared), (self.clock.monotonic() - started) / len(cuts))
        return True

    async def _run_together(self, jobs: Sequence[Job]) -> Sequence[_Cut]:
        """Ingest small documents of one store, none of which was begun before, in one step."""
        started = self.clock.monotonic()
        job = jobs[0]
        if any(one.space != job.space or one.chunking.strategy == "semantic" or one.recorded for one in jobs):
            raise _Alone
        embedder, vectors = self.models.of_space(job.space), await self.spaces.of(job.space)
        async with self.cutting:  # several threads at once would only take the interpreter from each other
            cuts = await asyncio.to_thread(lambda: [_Cut(one, self._prepare(one, (), embedder)) for one in jobs])
        every = [item for cut in cuts for item in cut.prepared]
        if len(every) > self.pace.size or not all(cut.prepared for cut in cuts):
            raise _Alone
        embedded = await embedder.embed([item.chunk.embedded_text() for item in every], "bulk", job.tenant)
        average = job.average_terms or _terms(every) / len(every)
        async with self.cutting:
            points = await asyncio.to_thread(self._all_points, cuts, embedded.vectors, average)
        await vectors.upsert(points)
        await self.record.finish([cut.done() for cut in cuts], self.clock.now())
        self.pace.took(len(every), self.clock.monotonic() - started)
        return cuts

    def _all_points(self, cuts: Sequence[_Cut], vectors: Sequence[tuple[float, ...]], average: float) -> list[Point]:
        found: list[Point] = []
        for job, prepared in cuts:
            at = len(found)
            found += self._points(job, prepared, vectors[at : at + len(prepared)], average)
        return found

    async def _give_back(self, jobs: Sequence[Job], why: str, *, counted: bool) -> None:
        for job in jobs:
            await self.record.release(job, self.clock.now() + _RETRY_S, why, counted=counted)

    async def _one(self, job: Job) -> bool:
        """Ingest a document that was claimed; return whether it makes sense to go on with others."""
        started = self.clock.monotonic()
        status, chunks = "crashed", 0
        try:
            async with self._lease([job]):
                chunks = await self._run(job)
            status = "ready" if chunks else "failed"
        except REFUSED as exc:
            await self.record.fail(job, exc.detail)
            status = "failed"
        except AWAY as exc:
            _log.warning("document %s waits: %s", job.document_id, exc.detail)
            await self._give_back([job], exc.detail, counted=isinstance(exc, TranscriptionFailed))
            status = "retried"
        except BaseException:
            await self._give_back([job], _BROKE_OFF, counted=True)
            raise
        finally:
            self.observer.ended(status, chunks, self.clock.monotonic() - started)
        return status != "retried"

    async def _run(self, job: Job) -> int:
        if job.recorded or job.file_id is not None:
            job = await self._read(job)
        breaks: Sequence[int] = ()
        embedder, vectors = self.models.of_space(job.space), await self.spaces.of(job.space)
        if job.chunking.strategy == "semantic":
            sections = await asyncio.to_thread(document_sections, job.text, job.media_type, "semantic")
            breaks = await topic_breaks(job.text, sections, embedder)
        prepared = await asyncio.to_thread(self._prepare, job, breaks, embedder)
        if not prepared:
            await self.record.fail(job, "The document holds no words. Send one that has text.")
            return 0
        average = job.average_terms or _terms(prepared) / len(prepared)
        done = await self._resumed(job, prepared, embedder, vectors)
        while batch := prepared[done : done + self.pace.size]:
            started = self.clock.monotonic()
            embedded = await embedder.embed([item.chunk.embedded_text() for item in batch], "bulk", job.tenant)
            await vectors.upsert(list(self._points(job, batch, embedded.vectors, average)))
            done += len(batch)
            if done < len(prepared):
                await self.record.progress(job, done, self.clock.now() + self.lease_s)
            self.pace.took(len(batch), self.clock.monotonic() - started)
        await self.record.finish([_Cut(job, prepared).done()], self.clock.now())
        return len(prepared)

    async def _read(self, job: Job) -> Job:
        """Read the file of a document and keep its text."""
        if job.recorded:
            source, file_format = await self.listener.record.source(job.document_id), FileFormat.RECORDING
        else:
            source = await self.files.read(job.tenant, job.file_id or "")
            file_format = format_of(source.name, "")
        picture: Picture | None = None
        if file_format in AS_TEXT:
            text = decoded(source.raw, len(source.raw))
        elif file_format is FileFormat.IMAGE:
            picture = await self.extractor.picture(source.raw, captioned=bool(job.caption) or not job.describes)
            text = text_of(source.name, picture, job.caption)
        elif file_format is FileFormat.RECORDING:
            text = await self.listener.text(job, source, self._held_until, self.leaving)
        else:
            text = await self.extractor.extract(source.raw, file_format)
        media_type = PLAIN if file_format is FileFormat.PLAIN else MARKDOWN
        media_type = media_type if picture is None else picture.media_type
        checked_text(text)
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(source.raw).hexdigest())
        await self.record.keep_text(job, text, media_type, sha256, picture)
        return job._replace(text=text, media_type=media_type, file_id=None, recorded=False)

    def _held_until(self) -> float:
        return self.clock.now() + self.lease_s

    async def _resumed(self, job: Job, prepared: Sequence[_Prepared], embedder: Embedder, vectors: VectorStore) -> int:
        """Return how many chunks an earlier run has indexed, if it cut and embedded the text just so."""
        if len(prepared) <= self.pace.size and not job.again:
            return 0  # done in one step: there is nothing to go on from
        plan = plan_of([item.chunk for item in prepared], embedder)
        if job.plan == plan:
            return job.indexed
        if job.again:
            await vectors.delete(Selector(job.tenant, job.store_id, job.document_id))
        await self.record.plan(job, plan, len(prepared))
        return 0

    def _prepare(self, job: Job, breaks: Sequence[int], embedder: Embedder) -> list[_Prepared]:
        chunks = chunk_document(job.text, job.media_type, job.chunking, embedder.counter, breaks)
        main = language_of(job.text) or self.languages.language_of(job.text) or ENGLISH
        found = []
        for chunk in chunks:
            language = language_of(chunk.text) or main
            found.append(_Prepared(chunk, terms(chunk.embedded_text(), language), language))
        return found

    def _points(
        self, job: Job, batch: Sequence[_Prepared], vectors: Sequence[tuple[float, ...]], average: float
    ) -> Iterator[Point]:
        found = [item.terms for item in batch]
        tfidf = job.ranking.keywords == "tfidf"
        words = map(frequency_vector, found) if tfidf else document_vectors(found, average, self.bm25)
        for item, vector, sparse in zip(batch, vectors, words, strict=True):
            chunk = item.chunk
            passage = Passage(
                chunk_id=chunk_id(job.document_id, chunk.index),
                document_id=job.document_id,
                store_id=job.store_id,
                source=job.name,
                heading=chunk.heading,
                text=chunk.text,
                start=chunk.start,
                end=chunk.end,
            )
            yield Point(job.tenant, passage, vector, sparse, job.ranking)

    @asynccontextmanager
    async def _lease(self, jobs: Sequence[Job]) -> AsyncIterator[None]:
        async def keep() -> None:
            while True:
                await asyncio.sleep(self.lease_s / 4)
                await self.record.extend([job.document_id for job in jobs], self.clock.now() + self.lease_s)

        keeper = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper


def _terms(prepared: Sequence[_Prepared]) -> int:
    return sum(len(item.terms) for item in prepared)


def plan_of(chunks: Sequence[Chunk], embedder: Embedder) -> str:
    """Return a hash of where a document was cut and which model embeds it."""
    cuts = ",".join(f"{chunk.start}-{chunk.end}" for chunk in chunks)
    return hashlib.sha256(f"{embedder.name} {embedder.dimensions} {cuts}".encode()).hexdigest()


def chunk_id(document_id: str, index: int) -> str:
    """Return the id of a document's chunk by its position; the same in every run."""
    return f"{document_id}.{index}"
