"""Points as bytes, for the way from the worker to the API process: what JSON says of numbers costs more than to store them.

A frame is the length of its head (4 bytes), the head as JSON, then the numbers of all points, one kind after the other:
dense vectors as 32-bit floats, indices of sparse vectors as unsigned 32-bit integers, their weights as 32-bit floats. All are
little-endian.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Annotated, Any, NamedTuple

import numpy as np
import orjson
from pydantic import Field, ValidationError

from sluice.contracts.base import Request
from sluice.contracts.vector_ranking import KeywordWeighting, VectorMetric
from sluice.errors import BadRequest
from sluice_retrieval.domain.bm25 import SparseVector
from sluice_retrieval.domain.metrics import Ranking
from sluice_retrieval.domain.points import Passage, Point

CONTENT_TYPE = "application/octet-stream"
MOST = 1000
"""Points in one frame."""

_LENGTH = struct.Struct("<I")
_Size = Annotated[int, Field(ge=0, le=1_000_000)]


class _Head(Request):
    """What is not numbers: for each point its tenant and passage, and how many terms its sparse vector has."""

    space: str
    dimensions: _Size
    points: Annotated[list[tuple[str, str, str, str, str, str | None, str, int, int]], Field(max_length=MOST)]
    terms: list[_Size]
    rankings: Annotated[
        list[tuple[VectorMetric, KeywordWeighting]],
        Field(description="how the store of each point ranks; empty where all do by cosine and BM25"),
    ] = []


class Unpacked(NamedTuple):
    """What a frame holds: points, and the space that they belong to."""

    space: str
    points: list[Point]


def pack_points(points: Sequence[Point], space: str) -> bytes:
    """Return points as a frame."""
    dimensions = len(points[0].dense) if points else 0
    packed = struct.Struct(f"<{dimensions}f").pack  # a quarter of the time that an array takes to read tuples
    head: dict[str, Any] = {
        "space": space,
        "dimensions": dimensions,
        "points": [(point.tenant, *point.passage) for point in points],
        "terms": [len(point.sparse.indices) for point in points],
    }
    if any(point.ranking != Ranking() for point in points):
        head["rankings"] = [tuple(point.ranking) for point in points]
    indices = chain.from_iterable(point.sparse.indices for point in points)
    weights = chain.from_iterable(point.sparse.values for point in points)
    raw = orjson.dumps(head)
    words = (np.fromiter(indices, dtype="<u4"), np.fromiter(weights, dtype="<f4"))
    dense = [packed(*point.dense) for point in points]
    return b"".join((_LENGTH.pack(len(raw)), raw, *dense, *(kind.tobytes() for kind in words)))


def unpack_points(frame: bytes) -> Unpacked:
    """Return what `pack_points` packed.

    Raises:
        BadRequest: it is no such frame.
    """
    try:
        (length,) = _LENGTH.unpack_from(frame)
        head = _Head.model_validate_json(frame[_LENGTH.size : _LENGTH.size + length])
    except (struct.error, ValidationError) as exc:
        raise BadRequest("The body is no frame of points.") from exc
    count, terms = len(head.points), sum(head.terms)
    numbers = memoryview(frame)[_LENGTH.size + length :]
    ranked = len(head.rankings) in (0, count)
    if not ranked or len(head.terms) != count or len(numbers) != 4 * (count * head.dimensions + 2 * terms):
        raise BadRequest("The body is no frame of points: its parts do not fit together.")
    at = 4 * count * head.dimensions
    dense = struct.Struct(f"<{head.dimensions}f").iter_unpack(numbers[:at]) if at else [()] * count
    indices: list[int] = np.frombuffer(numbers, "<u4", terms, at).tolist()
    weights: list[float] = np.frombuffer(numbers, "<f4", terms, at + 4 * terms).tolist()
    return Unpacked(head.space, list(_points(head, dense, indices, weights)))


def _points(
    head: _Head, dense: Iterable[tuple[float, ...]], indices: list[int], weights: list[float]
) -> Iterator[Point]:
    edges = pairwise(np.cumsum([0, *head.terms]).tolist())
    rankings = [Ranking(*one) for one in head.rankings] or [Ranking()] * len(head.points)
    for row, vector, (first, last), ranking in zip(head.points, dense, edges, rankings, strict=True):
        sparse = SparseVector(tuple(indices[first:last]), tuple(weights[first:last]))
        yield Point(row[0], Passage(*row[1:]), vector, sparse, ranking)
