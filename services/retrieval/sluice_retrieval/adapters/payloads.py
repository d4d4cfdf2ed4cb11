"""How a point lies in Qdrant: its id and payload, the same in the embedded engine and on a server."""

import hashlib
import uuid
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from sluice.contracts.vector_ranking import KeywordWeighting, VectorMetric
from sluice_retrieval.domain.metrics import Ranking
from sluice_retrieval.domain.points import Dense, Passage, Point, Probe

DENSE_NAMES: Mapping[VectorMetric, str] = {"cosine": "dense", "dotproduct": "dot", "euclidean": "euclid"}
"""The vector of a point that a metric compares; a point has one of them, by its store."""
SPARSE_NAMES: Mapping[KeywordWeighting, str] = {"bm25": "bm25", "tfidf": "tf"}
"""Where a point's words lie, by how its store weighs them; `tf` holds bare frequencies."""
TERMS = "terms"
"""The key under which a point of a store that weighs by TF-IDF keeps its terms, so that they can be counted."""
OWNER, DOCUMENT = "owner", "document"
_PASSAGE = "passage"
_CHUNKS = uuid.UUID("6f1d0c8e-6e51-4b0e-9f2f-0d6d3a1f7c55")  # the namespace of chunk ids; fixed for ever


def point_id(chunk_id: str) -> str:
    """Return the UUID under which a chunk is kept; the same chunk always gets the same."""
    # uuid.uuid5 by hand, which goes over ever more objects for it: a third of its time
    raw = bytearray(hashlib.sha1(_CHUNKS.bytes + chunk_id.encode(), usedforsecurity=False).digest()[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x50, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def owner_of(tenant: str, store_id: str) -> str:
    """Return the one key under which a tenant's store is found; no two pairs share one."""
    return f"{len(tenant)}:{tenant}/{store_id}"


def payload_of(point: Point, space: str) -> dict[str, Any]:
    """Return what is stored beside the vectors; `space` names the model that made the dense one, and its dimensions."""
    passage = point.passage
    terms = {TERMS: list(point.sparse.indices)} if point.ranking.keywords == "tfidf" else {}
    return {
        **terms,
        "tenant": point.tenant,
        "store": passage.store_id,
        "document": passage.document_id,
        "chunk": passage.chunk_id,
        "source": passage.source,
        "heading": passage.heading,
        "text": passage.text,
        "start": passage.start,
        "end": passage.end,
        "model": space,
    }


def packed_payload(point: Point, space: str) -> dict[str, Any]:
    """Return what the embedded engine stores: keys that filters ask for, and all else as one text, since it takes five microseconds for each key."""
    terms = {TERMS: list(point.sparse.indices)} if point.ranking.keywords == "tfidf" else {}
    passage = point.passage
    return {
        **terms,
        OWNER: owner_of(point.tenant, passage.store_id),
        DOCUMENT: passage.document_id,
        _PASSAGE: orjson.dumps((*passage, space)).decode(),
    }


def name_of(probe: Probe) -> str:
    """Return the name of the vector that a probe asks."""
    return DENSE_NAMES[probe.metric] if isinstance(probe, Dense) else SPARSE_NAMES[probe.weighting]


def ranking_in(names: Collection[str]) -> Ranking:
    """Return how a point's store ranks, from the names of its vectors."""
    metric = next(metric for metric, name in DENSE_NAMES.items() if name in names)
    return Ranking(metric, next(words for words, name in SPARSE_NAMES.items() if name in names))


def passage_of(payload: Mapping[str, Any] | None) -> Passage:
    """Return the passage that a payload holds; those of older releases have a key for each of its fields."""
    found = payload or {}
    packed = found.get(_PASSAGE)
    if packed is not None:
        return Passage(*orjson.loads(packed)[: len(Passage._fields)])
    return Passage(
        chunk_id=found["chunk"],
        document_id=found["document"],
        store_id=found["store"],
        source=found["source"],
        heading=found["heading"],
        text=found["text"],
        start=found["start"],
        end=found["end"],
    )
