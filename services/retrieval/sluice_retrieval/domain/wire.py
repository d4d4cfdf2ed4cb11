"""What the worker and the API process of retrieval say to each other about points; not part of the public API."""

import base64
import struct
from typing import Annotated, Literal

from pydantic import Field

from sluice.contracts.base import Reply, Request
from sluice.contracts.vector_ranking import KeywordWeighting, VectorMetric
from sluice_retrieval.domain.bm25 import SparseVector
from sluice_retrieval.domain.metrics import Ranking
from sluice_retrieval.domain.points import Dense, Passage, Point, Probe, Scope, Scored, Selector, Sparse


class WireSparse(Request):
    """A sparse vector."""

    indices: tuple[int, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, vector: SparseVector) -> "WireSparse":
        """Return the wire form."""
        return cls(indices=vector.indices, values=vector.values)

    def vector(self) -> SparseVector:
        """Return the vector."""
        return SparseVector(self.indices, self.values)


class WirePassage(Request):
    """A passage."""

    chunk_id: str
    document_id: str
    store_id: str
    source: str
    heading: str | None = None
    text: str
    start: int
    end: int

    def found(self) -> Passage:
        """Return the passage."""
        return Passage(
            self.chunk_id,
            self.document_id,
            self.store_id,
            self.source,
            self.heading,
            self.text,
            self.start,
            self.end,
        )


class WirePoint(Request):
    """A point; `dense` is base64 of little-endian 32-bit floats."""

    tenant: str
    passage: WirePassage
    dense: str
    sparse: WireSparse
    metric: VectorMetric = "cosine"
    keywords: KeywordWeighting = "bm25"

    @classmethod
    def of(cls, point: Point) -> "WirePoint":
        """Return the wire form."""
        return cls(
            tenant=point.tenant,
            passage=WirePassage(**point.passage._asdict()),
            dense=pack(point.dense),
            sparse=WireSparse.of(point.sparse),
            metric=point.ranking.metric,
            keywords=point.ranking.keywords,
        )

    def point(self) -> Point:
        """Return the point."""
        ranking = Ranking(self.metric, self.keywords)
        return Point(self.tenant, self.passage.found(), unpack(self.dense), self.sparse.vector(), ranking)


class UpsertPoints(Request):
    """Put points in place."""

    points: Annotated[tuple[WirePoint, ...], Field(max_length=1000)]
    space: str = ""


class SelectPoints(Request):
    """Points to delete or to count."""

    tenant: str
    store_id: str
    document_id: str | None = None
    space: str = ""

    @classmethod
    def of(cls, selector: Selector, space: str) -> "SelectPoints":
        """Return the wire form."""
        return cls(tenant=selector.tenant, store_id=selector.store_id, document_id=selector.document_id, space=space)

    def selector(self) -> Selector:
        """Return the selector."""
        return Selector(self.tenant, self.store_id, self.document_id)


class PagePoints(SelectPoints):
    """Points to read, from `after` on."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=1000)]


class PointsPage(Reply):
    """Points, and where the next ones begin."""

    points: tuple[WirePoint, ...]
    after: str | None = None


class WireProbe(Request):
    """One way to rank."""

    kind: Literal["dense", "sparse"]
    dense: str = ""
    sparse: WireSparse | None = None
    metric: VectorMetric = "cosine"
    keywords: KeywordWeighting = "bm25"

    @classmethod
    def of(cls, probe: Probe) -> "WireProbe":
        """Return the wire form."""
        if isinstance(probe, Dense):
            return cls(kind="dense", dense=pack(probe.vector), metric=probe.metric)
        return cls(kind="sparse", sparse=WireSparse.of(probe.vector), keywords=probe.weighting)

    def probe(self) -> Probe:
        """Return the probe."""
        if self.sparse is not None:
            return Sparse(self.sparse.vector(), self.keywords)
        return Dense(unpack(self.dense), self.metric)


class SearchPoints(Request):
    """Rank points."""

    tenant: str
    store_ids: tuple[str, ...]
    hidden_document_ids: tuple[str, ...] = ()
    document_ids: tuple[str, ...] | None = None
    probes: tuple[WireProbe, ...]
    limit: int
    with_vectors: bool = False
    space: str = ""
    rankings: tuple[tuple[VectorMetric, KeywordWeighting], ...] = (Ranking(),)

    def scope(self) -> Scope:
        """Return the scope."""
        rankings = tuple(Ranking(*one) for one in self.rankings)
        return Scope(self.tenant, self.store_ids, self.hidden_document_ids, self.document_ids, rankings=rankings)


class WireScored(Reply):
    """A passage with its score."""

    passage: WirePassage
    score: float
    dense: str | None = None

    @classmethod
    def of(cls, scored: Scored) -> "WireScored":
        """Return the wire form."""
        dense = None if scored.dense is None else pack(scored.dense)
        return cls(passage=WirePassage(**scored.passage._asdict()), score=scored.score, dense=dense)

    def scored(self) -> Scored:
        """Return the scored passage."""
        dense = None if self.dense is None else unpack(self.dense)
        return Scored(self.passage.found(), self.score, dense)


class Rankings(Reply):
    """One ranking for each probe."""

    rankings: tuple[tuple[WireScored, ...], ...]


class PointCount(Reply):
    """How many points there are, or were changed."""

    count: int


def pack(vector: tuple[float, ...]) -> str:
    """Return base64 of a vector's 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def unpack(packed: str) -> tuple[float, ...]:
    """Return the vector that `pack` packed."""
    raw = base64.b64decode(packed)
    return struct.unpack(f"<{len(raw) // 4}f", raw)
