"""Points as bytes between the worker and the API process."""

import uuid

import numpy as np
import pytest

from sluice.errors import BadRequest
from sluice_retrieval.adapters.payloads import point_id
from sluice_retrieval.domain.bm25 import SparseVector
from sluice_retrieval.domain.frames import pack_points, unpack_points
from sluice_retrieval.domain.metrics import Ranking
from sluice_retrieval.domain.points import Passage, Point


def point(number: int, terms: int, heading: str | None = None) -> Point:
    passage = Passage(f"doc.{number}", "doc", "vs_1", "naïve \u2603.txt", heading, f"text {number}", number, number + 6)
    indices = tuple(range(4_294_967_295 - terms, 4_294_967_295))
    dense = tuple(np.random.default_rng(number).normal(size=8).astype(np.float32).tolist())
    return Point("acme", passage, dense, SparseVector(indices, tuple(0.5 * at for at in range(terms))))


def test_points_come_out_as_they_went_in() -> None:
    points = [point(1, 3), point(2, 0, "Guide > Start"), point(3, 5)]
    assert unpack_points(pack_points(points, "minilm@8")) == ("minilm@8", points)
    assert unpack_points(pack_points([], "")) == ("", [])
    mixed = [points[0], points[1]._replace(ranking=Ranking("euclidean", "tfidf"))]
    assert unpack_points(pack_points(mixed, "minilm@8")) == ("minilm@8", mixed)


@pytest.mark.parametrize(
    "spoil", [lambda raw: b"", lambda raw: raw[:-4], lambda raw: raw + b"1234", lambda raw: b"\xff" + raw]
)
def test_what_is_no_frame_is_refused(spoil) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadRequest, match="no frame"):
        unpack_points(spoil(pack_points([point(1, 3)], "minilm@8")))


def test_the_id_of_a_point_is_that_of_rfc_9562() -> None:
    space = uuid.UUID("6f1d0c8e-6e51-4b0e-9f2f-0d6d3a1f7c55")
    assert [point_id(f"doc_{at}.é") for at in range(50)] == [str(uuid.uuid5(space, f"doc_{at}.é")) for at in range(50)]
