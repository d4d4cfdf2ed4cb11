"""Puts many documents into a store at once, past queue and worker: for measuring searches, not ingest."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import insert
from tests.bench.retrieval.fast_worker import FreeEmbedder
from tests.bench.retrieval.parts import Retrieval

from sluice.contracts.retrieval import ChunkingOptions
from sluice.db import Database, open_database
from sluice_retrieval.adapters.edge import EdgeVectorStore
from sluice_retrieval.domain.bm25 import Bm25Parameters, SparseVector, document_vectors, terms
from sluice_retrieval.domain.chunking import Chunk, chunk_document
from sluice_retrieval.domain.ingest import chunk_id
from sluice_retrieval.domain.points import Passage, Point
from sluice_retrieval.domain.spaces import BUILT_IN, space_of
from sluice_retrieval.store.jobs import STEMS
from sluice_retrieval.tables import AttributeRow, DocumentRow, TextRow

TENANT = "default"
SPACE = space_of(BUILT_IN, FreeEmbedder.dimensions)
_DIFFERENT = 100
_AT_ONCE = 20


class _Prepared(NamedTuple):
    text: str
    chunks: Sequence[Chunk]
    sparse: Sequence[SparseVector]
    dense: Sequence[tuple[float, ...]]
    terms: int


async def fill(
    retrieval: Retrieval, store: str, document: Callable[[], str], documents: int, chunking: ChunkingOptions
) -> int:
    """Store documents as ready and index their chunks; a hundred texts take turns. Returns how many chunks.

    The API process must not run: the index has one opener.
    """
    embedder = FreeEmbedder()
    texts = [await _prepared(embedder, document(), chunking) for _ in range(min(documents, _DIFFERENT))]
    database = open_database(retrieval.platform, "retrieval")
    vectors = await EdgeVectorStore.open(retrieval.platform.data_dir.absolute() / "vectors", SPACE)
    count = 0
    for first in range(0, documents, _AT_ONCE):
        some = [(number, texts[number % len(texts)]) for number in range(first, min(first + _AT_ONCE, documents))]
        await vectors.upsert([point for number, text in some for point in _points(store, number, text)])
        await _record(database, store, some)
        count += sum(len(text.chunks) for _, text in some)
    await vectors.close()
    await database.close()
    return count


async def _prepared(embedder: FreeEmbedder, text: str, chunking: ChunkingOptions) -> _Prepared:
    chunks = list(chunk_document(text, "text/plain", chunking, embedder.counter))
    found = [terms(chunk.embedded_text()) for chunk in chunks]
    total = sum(map(len, found))
    sparse = document_vectors(found, total / len(chunks), Bm25Parameters())
    embedded = await embedder.embed([chunk.embedded_text() for chunk in chunks], "bulk")
    return _Prepared(text, chunks, sparse, embedded.vectors, total)


def _id(number: int) -> str:
    return f"doc_{number:024}"


def _name(number: int) -> str:
    return f"doc-{number}.txt"


def _points(store: str, number: int, text: _Prepared) -> Iterator[Point]:
    for chunk, sparse, dense in zip(text.chunks, text.sparse, text.dense, strict=True):
        place = Passage(
            chunk_id(_id(number), chunk.index),
            _id(number),
            store,
            _name(number),
            chunk.heading,
            chunk.text,
            chunk.start,
            chunk.end,
        )
        yield Point(TENANT, place, dense, sparse)


async def _record(database: Database, store: str, some: Sequence[tuple[int, _Prepared]]) -> None:
    details: dict[int, dict[str, str | int]] = {
        number: {"team": f"team-{number % 10}", "year": 2000 + number % 25} for number, _ in some
    }
    rows = [
        {
            "id": _id(number),
            "tenant": TENANT,
            "store_id": store,
            "name": _name(number),
            "media_type": "text/plain",
            "status": "ready",
            "bytes": len(text.text),
            "chunks": len(text.chunks),
            "terms": text.terms,
            "attempts": 1,
            "next_send_at": 0.0,
            "not_before": 0.0,
            "indexed": len(text.chunks),
            "planned": len(text.chunks),
            "stems": STEMS,
            "created_at": 1.0,
            "details": details[number],
            "space": SPACE,
            "ready_at": 1.0,
        }
        for number, text in some
    ]
    attributes = [
        {
            "document_id": _id(number),
            "store_id": store,
            "key": key,
            "kind": "text" if isinstance(value, str) else "number",
            "text": value if isinstance(value, str) else None,
            "number": None if isinstance(value, str) else float(value),
        }
        for number, held in details.items()
        for key, value in held.items()
    ]
    async with database.write() as session:
        await session.execute(insert(DocumentRow), rows)
        await session.execute(
            insert(TextRow), [{"document_id": _id(number), "text": text.text} for number, text in some]
        )
        await session.execute(insert(AttributeRow), attributes)
