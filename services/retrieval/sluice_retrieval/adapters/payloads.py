"""How a point lies in Qdrant: its id and payload, the same in the embedded engine and on a server."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from sluice_retrieval.domain.points import Passage, Point

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
    return {
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


def passage_of(payload: Mapping[str, Any] | None) -> Passage:
    """Return the passage that a payload holds."""
    found = payload or {}
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
