"""Vectors in memory: the nearest of few and of many are those that a comparison of all finds."""

import uuid

import numpy as np
import pytest

from sluice.machine_code import Processor, can_compile
from sluice_retrieval.adapters.document_vectors import DocumentVectors

pytestmark = pytest.mark.skipif(not can_compile(Processor.here()), reason="this machine compiles no code")
WIDTH, EACH = 40, 37


@pytest.mark.parametrize("documents", [1, 2, 40, 90])
@pytest.mark.parametrize("limit", [1, 20, 60])
@pytest.mark.parametrize("alike", [0.0, 0.999])
def test_the_nearest_are_found_among_few_and_many(documents: int, limit: int, alike: float) -> None:
    dice = np.random.default_rng(documents * 100 + limit)
    base = dice.standard_normal(WIDTH)
    vectors = alike * base + (1 - alike) * dice.standard_normal((documents * EACH, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kept = DocumentVectors(WIDTH, 1 << 24)
    for at in range(documents):
        ids = [uuid.UUID(int=at * EACH + row) for row in range(EACH)]
        kept.keep(f"d{at}", ids, kept.packed(vectors[at * EACH : (at + 1) * EACH].tolist()))
    asked = dice.standard_normal(WIDTH)
    found = kept.nearest(asked.tolist(), [f"d{at}" for at in range(documents)], limit)
    cosines = vectors @ (asked / np.linalg.norm(asked))
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert np.allclose(scores, np.sort(cosines)[::-1][:limit], atol=1e-3)
    assert all(abs(cosines[one.id.int] - one.score) < 1e-3 for one in found)
    assert len({one.id for one in found}) == min(limit, documents * EACH)


def test_what_was_forgotten_is_missing() -> None:
    kept = DocumentVectors(WIDTH, 1 << 20)
    kept.keep("a", [uuid.UUID(int=1)], kept.packed([[1.0] + [0.0] * (WIDTH - 1)]))
    assert kept.split({"a"}) == (["a"], [])
    kept.forget(("a", "never"))
    assert kept.split(["a", "b"]) == ([], ["a", "b"])
