"""One suite over every home of vectors: the embedded engine, a Qdrant server's API, and the way through the API process.

The server's adapter runs against qdrant-client's local mode, which has the server's API in process.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge
from tests.contract.retrieval.vector_homes import (
    PARAMETERS,
    SIZE,
    SPACE,
    STORED,
    TEXTS,
    HomeDeps,
    client_of,
    point,
    scope,
    service_over,
    unit,
)

from sluice.errors import DependencyUnavailable, Forbidden
from sluice_retrieval.adapters.edge import EdgeVectorStore
from sluice_retrieval.adapters.payloads import payload_of, point_id
from sluice_retrieval.adapters.remote import RemoteVectorStore
from sluice_retrieval.adapters.server import ServerVectorStore, connect
from sluice_retrieval.domain.bm25 import (
    inverse_document_frequency,
    query_terms,
    query_vector,
    terms,
)
from sluice_retrieval.domain.points import Dense, Point, Scope, Selector, Sparse, VectorStore


async def test_dense_search_ranks_by_cosine(vectors: VectorStore) -> None:
    points = [point(number) for number in range(20)]
    await vectors.upsert(points)
    query = unit(99)
    ((*hits,),) = await vectors.search(scope(), [Dense(query)], 5)
    expected = sorted(points, key=lambda item: -float(np.dot(item.dense, query)))[:5]
    assert [hit.passage for hit in hits] == [item.passage for item in expected]
    assert [hit.score for hit in hits] == pytest.approx(
        [float(np.dot(item.dense, query)) for item in expected], abs=STORED
    )


async def test_sparse_search_gives_the_bm25_score(vectors: VectorStore) -> None:
    bags = [terms(text) for text in TEXTS]
    average = sum(map(len, bags)) / len(bags)
    await vectors.upsert([point(number, text=text, average=average) for number, text in enumerate(TEXTS)])
    # Another store and another tenant have the same words: they must not change the statistics.
    await vectors.upsert([point(number, store="vs_2", document="doc_2", text="gateway engine") for number in range(7)])
    await vectors.upsert(
        [point(number, tenant="other", document="doc_3", text="gateway engine") for number in range(9)]
    )
    query = "which engine does the gateway request?"
    (hits,) = await vectors.search(scope(), [Sparse(query_vector(query_terms(query)))], 10)

    def score(bag: list[str]) -> float:
        k1, b = PARAMETERS
        norm = k1 * (1 - b + b * len(bag) / average)
        return sum(
            inverse_document_frequency(len(bags), sum(term in other for other in bags))
            * (bag.count(term) * (k1 + 1) / (bag.count(term) + norm))
            for term in query_terms(query)
        )

    expected = {f"doc_1.{number}": score(bag) for number, bag in enumerate(bags) if score(bag) > 0}
    assert {hit.passage.chunk_id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-3)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_several_probes_give_several_rankings(vectors: VectorStore) -> None:
    await vectors.upsert([point(number, text=text) for number, text in enumerate(TEXTS)])
    rankings = await vectors.search(scope(), [Dense(unit(2)), Sparse(query_vector(["feedback"]))], 3)
    assert [len(ranking) for ranking in rankings] == [3, 1]
    assert rankings[0][0].passage.chunk_id == "doc_1.2"
    assert rankings[1][0].passage.chunk_id == "doc_1.4"


async def test_tenants_and_stores_are_apart(vectors: VectorStore) -> None:
    await vectors.upsert([point(1), point(2, store="vs_2"), point(3, tenant="other", document="doc_9")])
    assert [hit.passage.chunk_id for hit in (await vectors.search(scope("vs_1"), [Dense(unit(1))], 9))[0]] == [
        "doc_1.1"
    ]
    both = (await vectors.search(scope("vs_1", "vs_2"), [Dense(unit(1))], 9))[0]
    assert {hit.passage.store_id for hit in both} == {"vs_1", "vs_2"}
    assert {hit.passage.document_id for hit in both} == {"doc_1"}
    other = (await vectors.search(scope("vs_1", tenant="other"), [Dense(unit(1))], 9))[0]
    assert [hit.passage.document_id for hit in other] == ["doc_9"]


async def test_hidden_documents_are_not_found(vectors: VectorStore) -> None:
    await vectors.upsert([point(1), point(2, document="doc_2")])
    for probe in (Dense(unit(2)), Sparse(query_vector(terms("passage")))):
        (hits,) = await vectors.search(scope(hidden=["doc_2", "doc_7"]), [probe], 9)
        assert [hit.passage.document_id for hit in hits] == ["doc_1"]


async def test_hidden_documents_take_no_place_however_many_are_better(vectors: VectorStore) -> None:
    near = unit(1)
    far = [point(number, document="doc_2")._replace(dense=unit(number)) for number in range(2, 5)]
    await vectors.upsert([*far, *(point(number)._replace(dense=near) for number in range(60))])
    for probe in (Dense(near), Sparse(query_vector(terms("passage")))):
        (hits,) = await vectors.search(scope(hidden=["doc_1"]), [probe], 2)
        assert [hit.passage.document_id for hit in hits] == ["doc_2", "doc_2"]
        (hits,) = await vectors.search(scope(hidden=["doc_2"]), [probe], 70)
        assert {hit.passage.document_id for hit in hits} == {"doc_1"}
        assert len(hits) == 60


async def test_only_named_documents_are_searched(vectors: VectorStore) -> None:
    await vectors.upsert([point(1), point(2, document="doc_2"), point(3, document="doc_3")])
    for probe in (Dense(unit(2)), Sparse(query_vector(terms("passage")))):
        only = Scope("acme", ("vs_1",), ("doc_3",), ("doc_1", "doc_3", "doc_7"))
        (hits,) = await vectors.search(only, [probe], 9)
        assert [hit.passage.document_id for hit in hits] == ["doc_1"]


async def test_a_named_document_of_another_owner_never_leaves_the_engine(tmp_path: Path) -> None:
    store = await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    await store.upsert([point(1), point(2, tenant="other", document="doc_9"), point(3, store="vs_2", document="doc_8")])
    for foreign in ("doc_9", "doc_8"):
        with pytest.raises(DependencyUnavailable):
            await store.search(Scope("acme", ("vs_1",), (), ("doc_1", foreign)), [Dense(unit(1))], 9)
    await store.close()


async def test_vectors_come_when_asked_for(vectors: VectorStore) -> None:
    await vectors.upsert([point(1, text="one word"), point(2, text="other text")])
    rankings = await vectors.search(scope(), [Dense(unit(1)), Sparse(query_vector(["word"]))], 9, with_vectors=True)
    for ranking in rankings:
        for hit in ranking:
            number = 1 if hit.passage.text == "one word" else 2
            assert hit.dense == pytest.approx(unit(number), abs=STORED)
    ((first, *_),) = await vectors.search(scope(), [Dense(unit(1))], 9)
    assert first.dense is None


async def test_the_same_chunk_is_replaced(vectors: VectorStore) -> None:
    await vectors.upsert([point(1)])
    await vectors.upsert([point(1, text="another text")])
    assert await vectors.count(Selector("acme", "vs_1")) == 1
    (hits,) = await vectors.search(scope(), [Dense(unit(1))], 9)
    assert [hit.passage.text for hit in hits] == ["another text"]


async def test_delete_removes_what_is_selected_and_nothing_else(vectors: VectorStore) -> None:
    await vectors.upsert(
        [
            point(1),
            point(2, document="doc_2"),
            point(3, store="vs_2", document="doc_3"),
            point(4, tenant="other", document="doc_4"),
        ]
    )
    await vectors.delete(Selector("acme", "vs_1", "doc_1"))
    assert await vectors.count(Selector("acme", "vs_1", "doc_1")) == 0
    assert await vectors.count(Selector("acme", "vs_1")) == 1
    await vectors.delete(Selector("acme", "vs_1"))
    assert await vectors.count(Selector("acme", "vs_1")) == 0
    assert await vectors.count(Selector("acme", "vs_2")) == 1
    assert await vectors.count(Selector("other", "vs_1")) == 1
    await vectors.delete(Selector("acme", "vs_none"))


async def test_many_points_and_odd_texts_come_back_as_they_were(vectors: VectorStore) -> None:
    chooser = random.Random(5)
    odd = ["ünïcödé 漢字 🙂", 'quote " and \\ slash', "tab\tand\nline", " leading"]
    points = [point(number, text=chooser.choice(odd) + f" {number}") for number in range(450)]
    await vectors.upsert(points)
    assert await vectors.count(Selector("acme", "vs_1")) == 450
    for number in (0, 201, 449):
        (hits,) = await vectors.search(scope(), [Dense(unit(number))], 1)
        assert hits[0].passage == points[number].passage


async def test_an_empty_store_has_no_hits(vectors: VectorStore) -> None:
    await vectors.ping()
    await vectors.upsert([])
    assert await vectors.search(scope(), [Dense(unit(1)), Sparse(query_vector(["word"]))], 3) == [[], []]


async def test_what_was_acknowledged_is_there_after_opening_again(tmp_path: Path) -> None:
    first = await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    await first.upsert([point(number) for number in range(10)])
    await first.delete(Selector("acme", "vs_1", "doc_2"))
    await first.close()
    again = await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    assert await again.count(Selector("acme", "vs_1")) == 10
    assert await again.total() == 10
    await again.close()


async def test_a_shard_of_an_older_release_is_rewritten_and_loses_nothing(tmp_path: Path) -> None:
    folder, points = tmp_path / "vectors", [point(number, text=f"word{number}") for number in range(1200)]
    _older_shard(folder, points)
    store = await EdgeVectorStore.open(folder, SPACE)
    assert await store.total() == 1200
    for number in (0, 700, 1199):
        probes = [Dense(unit(number)), Sparse(query_vector(query_terms(f"word{number}")))]
        for ranking in await store.search(scope(), probes, 1, with_vectors=True):
            assert ranking[0].passage == points[number].passage
            assert ranking[0].dense == pytest.approx(points[number].dense, abs=STORED)
    await store.close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["vectors", "vectors.lock"]


@pytest.mark.parametrize("moment", ["copying", "old one moved", "both moved"])
async def test_rewriting_a_shard_may_end_at_any_moment(tmp_path: Path, moment: str) -> None:
    folder, new, old = (tmp_path / name for name in ("vectors", "vectors.new", "vectors.old"))
    _older_shard(folder, [point(number) for number in range(5)])
    if moment == "copying":
        await _filled(new, 3)
    else:
        folder.rename(old)
        await _filled(new, 5)
    if moment == "both moved":
        new.rename(folder)
    store = await EdgeVectorStore.open(folder, SPACE)
    assert await store.total() == 5
    assert not new.exists()
    assert not old.exists()
    await store.close()


async def _filled(folder: Path, count: int) -> None:
    store = await EdgeVectorStore.open(folder, SPACE)
    await store.upsert([point(number) for number in range(count)])
    await store.close()


def _older_shard(folder: Path, points: Sequence[Point]) -> None:
    """Make a shard as releases did that stored 32 bits of a number and no owner."""
    folder.mkdir()
    config = qdrant_edge.EdgeConfig(
        vectors={"dense": qdrant_edge.EdgeVectorParams(size=SIZE, distance=qdrant_edge.Distance.Cosine)},
        sparse_vectors={"bm25": qdrant_edge.EdgeSparseVectorParams(modifier=qdrant_edge.Modifier.Idf)},
    )
    shard = qdrant_edge.EdgeShard.create(str(folder), config)
    made = [
        qdrant_edge.Point(
            id=point_id(one.passage.chunk_id),
            vector={
                "dense": list(one.dense),
                "bm25": qdrant_edge.SparseVector(indices=list(one.sparse.indices), values=list(one.sparse.values)),
            },
            payload=payload_of(one, SPACE),
        )
        for one in points
    ]
    shard.update(qdrant_edge.UpdateOperation.upsert_points(made))
    shard.close()


async def test_a_second_opener_is_told_why_not_and_does_no_harm(tmp_path: Path) -> None:
    first = await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    await first.upsert([point(number) for number in range(50)])
    with pytest.raises(DependencyUnavailable, match="open in another process"):
        await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    await first.upsert([point(number, document="doc_2") for number in range(50)])
    await first.ping()
    await first.close()
    again = await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    assert await again.total() == 100
    await again.close()


async def test_a_failed_write_shows_in_the_probe(tmp_path: Path) -> None:
    store = await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    with pytest.raises(DependencyUnavailable, match="embedded vector store failed"):
        await store.upsert([point(1)._replace(dense=(1.0, 2.0))])
    with pytest.raises(DependencyUnavailable, match="could not write"):
        await store.ping()
    await store.upsert([point(1)])
    await store.ping()
    await store.close()


async def test_tidying_waits_for_quiet_and_keeps_what_is_there(tmp_path: Path) -> None:
    store = await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    await store.upsert([point(number, document=f"doc_{number % 2}") for number in range(2400)])
    assert not await store.tidy()
    await store.delete(Selector("acme", "vs_1", "doc_1"))
    await store.search(scope(), [Dense(unit(1))], 1)
    assert not await store.tidy()
    store._searched_at -= 60
    assert await store.tidy()
    assert await store.count(Selector("acme", "vs_1")) == 1200
    (hits,) = await store.search(scope(), [Dense(unit(2))], 1)
    assert hits[0].passage.chunk_id == "doc_0.2"
    await store.close()


async def test_a_graph_is_built_at_the_start_and_finds_what_comparing_all_finds(tmp_path: Path) -> None:
    store = await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    await store.upsert([point(number, document=f"doc_{number % 4}") for number in range(1200)])
    await store.upsert([point(number, tenant="other", document="doc_9") for number in range(1200, 1400)])
    asked = [Dense(unit(number)) for number in range(9000, 9010)]
    filtered = scope()._replace(document_ids=("doc_1",))
    exact, exact_filtered = [await store.search(where, asked, 20) for where in (scope(), filtered)]
    await store.close()
    store = await EdgeVectorStore.open(tmp_path / "vectors", SPACE, graph_from=256)
    assert store._shard.info().indexed_vectors_count >= 1400
    for before, where in ((exact, scope()), (exact_filtered, filtered)):
        after = await store.search(where, asked, 20)
        pairs = zip(before, after, strict=True)
        shared = sum(len({hit.passage.chunk_id for hit in a} & {hit.passage.chunk_id for hit in b}) for a, b in pairs)
        assert shared >= 0.95 * 20 * len(asked)
    await store.upsert([point(9000, document="doc_new")])
    (hits,) = await store.search(scope(), asked[:1], 1)
    assert hits[0].passage.document_id == "doc_new", "what came after the start is found too"
    await store.delete(Selector("acme", "vs_1", "doc_new"))
    store._searched_at -= 60
    assert not await store.tidy()
    await store.close()


async def test_a_server_that_is_away_is_a_dependency_unavailable() -> None:
    store = ServerVectorStore(connect("http://127.0.0.1:1", None), SPACE)
    with pytest.raises(DependencyUnavailable, match="Qdrant server"):
        await store.search(scope(), [Dense(unit(1))], 1)
    with pytest.raises(DependencyUnavailable):
        await store.ping()
    await store.close()


async def test_only_the_worker_may_touch_points(tmp_path: Path) -> None:
    edge = await EdgeVectorStore.open(tmp_path / "vectors", SPACE)
    deps = HomeDeps(edge, tmp_path)
    app = service_over(deps)
    async with app.router.lifespan_context(app):
        client = client_of(deps, app, subject="gateway")
        with pytest.raises(Forbidden, match="Only the retrieval worker"):
            await RemoteVectorStore(client).count(Selector("acme", "vs_1"))
        await client.transport.close()  # type: ignore[attr-defined]
    await edge.close()


async def test_points_are_read_page_by_page_with_their_vectors(vectors: VectorStore) -> None:
    points = [point(number) for number in range(7)]
    await vectors.upsert(points)
    await vectors.upsert([point(100, document="doc_2"), point(101, store="vs_2"), point(102, tenant="other")])
    read: list[Point] = []
    after: str | None = None
    for size in (3, 3, 1):
        page = await vectors.page(Selector("acme", "vs_1", "doc_1"), after, 3)
        assert len(page.points) == size
        read += page.points
        after = page.after
    assert after is None
    read.sort(key=lambda one: one.passage.start)
    assert [(one.tenant, one.passage) for one in read] == [(one.tenant, one.passage) for one in points]
    for one, given in zip(read, points, strict=True):
        assert one.dense == pytest.approx(given.dense, abs=STORED)
        assert dict(zip(one.sparse.indices, one.sparse.values, strict=True)) == pytest.approx(
            dict(zip(given.sparse.indices, given.sparse.values, strict=True)), rel=1e-6
        )
    await vectors.upsert(read)
    assert await vectors.count(Selector("acme", "vs_1", "doc_1")) == 7, "what was read can be written again"
