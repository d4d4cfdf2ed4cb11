"""Stores that rank in different ways, in every home of vectors: the three metrics, and TF-IDF beside BM25."""

import math
from pathlib import Path

import numpy as np
import pytest
from tests.contract.retrieval.vector_homes import SIZE, SPACE, STORED, TEXTS, point, scope, unit

from sluice.contracts.vector_ranking import VectorMetric
from sluice_retrieval.adapters.edge_rankings import EdgeRankings
from sluice_retrieval.domain.bm25 import SparseVector, frequency_vector, query_terms, query_vector, terms
from sluice_retrieval.domain.metrics import METRICS, Ranking, distance_of, similarity
from sluice_retrieval.domain.points import Dense, Point, Scope, Selector, Sparse, VectorStore


def ranked(number: int, ranking: Ranking, *, length: float = 1.0, text: str = "", store: str = "vs_1") -> Point:
    made = point(number, text=text, store=store, document=f"doc_{store}_{ranking.metric}_{ranking.keywords}")
    words = frequency_vector(terms(made.passage.text)) if ranking.keywords == "tfidf" else made.sparse
    return made._replace(dense=tuple(length * one for one in unit(number)), sparse=words, ranking=ranking)


def over(*rankings: Ranking, stores: tuple[str, ...] = ("vs_1",)) -> Scope:
    return scope(*stores)._replace(rankings=rankings)


def measured(metric: VectorMetric, one: tuple[float, ...], other: tuple[float, ...]) -> float:
    if metric == "euclidean":
        return float(np.linalg.norm(np.subtract(one, other)))
    product = float(np.dot(one, other))
    return product if metric == "dotproduct" else product / float(np.linalg.norm(one) * np.linalg.norm(other))


@pytest.mark.parametrize("metric", METRICS)
async def test_dense_search_ranks_by_the_metric_of_the_store(vectors: VectorStore, metric: VectorMetric) -> None:
    points = [ranked(number, Ranking(metric), length=0.5 + number % 4) for number in range(24)]
    await vectors.upsert(points)
    query = tuple(2 * one for one in unit(99))
    (hits,) = await vectors.search(over(Ranking(metric)), [Dense(query, metric)], 6, with_vectors=True)
    expected = {one.passage.chunk_id: similarity(metric, measured(metric, one.dense, query)) for one in points}
    best = sorted(expected.values(), reverse=True)[:6]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=12 * STORED)
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.passage.chunk_id], abs=12 * STORED)
        assert hit.dense is not None
        assert len(hit.dense) == SIZE


def test_metrics_have_the_ranges_of_the_handbook() -> None:
    assert similarity("cosine", -1.0) == -1.0
    assert similarity("dotproduct", 14.5) == 14.5
    assert similarity("euclidean", 0.0) == 1.0
    assert distance_of(similarity("euclidean", 3.0)) == pytest.approx(3.0)
    assert 0 < similarity("euclidean", 1e6) < similarity("euclidean", 1.0)


async def test_rankings_of_different_metrics_never_mix(vectors: VectorStore) -> None:
    for at, metric in enumerate(METRICS):
        await vectors.upsert([ranked(10 * at + one, Ranking(metric), store=f"vs_{metric}") for one in range(3)])
    everywhere = over(*map(Ranking, METRICS), stores=tuple(f"vs_{metric}" for metric in METRICS))
    found = await vectors.search(everywhere, [Dense(unit(1), metric) for metric in METRICS], 9)
    for metric, hits in zip(METRICS, found, strict=True):
        assert {hit.passage.store_id for hit in hits} == {f"vs_{metric}"}
        assert len(hits) == 3


async def test_tfidf_gives_the_score_of_the_handbook(vectors: VectorStore) -> None:
    ranking = Ranking(keywords="tfidf")
    bags = [terms(text) for text in TEXTS]
    await vectors.upsert([ranked(number, ranking, text=text) for number, text in enumerate(TEXTS)])
    await vectors.upsert([ranked(number, Ranking(), text="gateway engine", store="vs_2") for number in range(7)])
    query = "which engine does the gateway gateway request unheard?"
    asked = query_vector(query_terms(query))
    (hits,) = await vectors.search(over(Ranking(), ranking, stores=("vs_1", "vs_2")), [Sparse(asked, "tfidf")], 10)

    def score(bag: list[str]) -> float:
        total = 0.0
        for term in query_terms(query):
            with_term = sum(term in other for other in bags)
            total += bag.count(term) * math.log(len(bags) / with_term) if with_term else 0.0
        return total

    expected = {number: score(bag) for number, bag in enumerate(bags) if score(bag) > 0}
    assert {int(hit.passage.chunk_id.rpartition(".")[2]): hit.score for hit in hits} == pytest.approx(
        expected, rel=1e-3
    )
    assert {hit.passage.store_id for hit in hits} == {"vs_1"}
    (nothing,) = await vectors.search(over(ranking), [Sparse(query_vector(["unheard"]), "tfidf")], 10)
    assert nothing == []


async def test_points_keep_their_ranking_page_by_page(vectors: VectorStore) -> None:
    made = [ranked(number, Ranking("euclidean", "tfidf"), length=3.0) for number in range(4)]
    await vectors.upsert(made)
    page = await vectors.page(Selector("acme", "vs_1"), None, 10)
    read = {one.passage.chunk_id: one for one in page.points}
    assert set(read) == {one.passage.chunk_id for one in made}
    for one in made:
        assert read[one.passage.chunk_id].ranking == one.ranking
        assert read[one.passage.chunk_id].sparse == one.sparse
        assert read[one.passage.chunk_id].dense == pytest.approx(one.dense, abs=6 * STORED)


async def test_a_way_to_rank_that_no_store_has_finds_nothing(vectors: VectorStore) -> None:
    await vectors.upsert([point(1)])
    probes = [Dense(unit(1), "euclidean"), Sparse(query_vector(["passage"]), "tfidf")]
    assert await vectors.search(over(Ranking("euclidean", "tfidf")), probes, 3) == [[], []]


async def test_both_shards_are_there_after_opening_again_and_are_emptied_together(tmp_path: Path) -> None:
    store = await EdgeRankings.open(tmp_path / "vectors", SPACE)
    await store.upsert([point(number) for number in range(5)])
    await store.upsert([ranked(number, Ranking("dotproduct", "tfidf"), text="dot word") for number in (7, 8)])
    await store.close()
    again = await EdgeRankings.open(tmp_path / "vectors", SPACE)
    everywhere = over(Ranking(), Ranking("dotproduct", "tfidf"))
    dot, cosine = await again.search(everywhere, [Dense(unit(7), "dotproduct"), Dense(unit(3))], 9)
    assert (dot[0].passage.chunk_id.rpartition(".")[2], len(dot)) == ("7", 2)
    assert (cosine[0].passage.chunk_id, len(cosine)) == ("doc_1.3", 5)
    assert await again.document_counts() == {"doc_1": 5, "doc_vs_1_dotproduct_tfidf": 2}
    await again.delete(Selector("acme", "vs_1"))
    assert (await again.total(), await again.count(Selector("acme", "vs_1"))) == (0, 0)
    await again.ping()
    await again.close()


async def test_words_of_stores_in_both_shards_are_ranked_together(vectors: VectorStore) -> None:
    await vectors.upsert([ranked(number, Ranking(), text="the lock of the gate", store="vs_1") for number in range(3)])
    other = Ranking("euclidean")
    await vectors.upsert([ranked(number, other, text="the gate", store="vs_2") for number in range(3)])
    (hits,) = await vectors.search(over(Ranking(), other, stores=("vs_1", "vs_2")), [Sparse(query_vector(["gate"]))], 4)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len(hits) == 4
    assert "vs_2" in {hit.passage.store_id for hit in hits}


async def test_points_without_words_are_kept_as_images_have_them(vectors: VectorStore) -> None:
    made = [point(number)._replace(sparse=SparseVector((), ())) for number in range(4)]
    await vectors.upsert(made)
    (hits,) = await vectors.search(scope(), [Dense(unit(2), images=True)], 2)
    assert hits[0].passage == made[2].passage
    assert await vectors.count(Selector("acme", "vs_1")) == 4
    await vectors.delete(Selector("acme", "vs_1", "doc_1"))
    assert await vectors.count(Selector("acme", "vs_1")) == 0
