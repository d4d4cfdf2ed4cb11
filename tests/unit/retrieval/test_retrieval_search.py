"""Joining, spreading and cutting what the vector store found."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice.contracts.searching import Compound, Query, SearchRequest
from sluice_retrieval.domain.diversity import maximal_marginal_relevance
from sluice_retrieval.domain.embedding import BegunVectors, Embedded, Lane
from sluice_retrieval.domain.fusion import Fusion, scaled, weighted_fusion
from sluice_retrieval.domain.points import Dense, Passage, Point, Probe, Scope, Scored, Selector, Sparse
from sluice_retrieval.domain.rerank import Candidate, Reranked
from sluice_retrieval.domain.search import Hit, probes_of, search
from sluice_retrieval.domain.tokens import Word

SCOPE = Scope("acme", ("vs_1",))
finite = st.floats(-1, 1, allow_nan=False, width=32)


class Rankings:
    """A vector store that has one fixed ranking for each kind of probe, and keeps to the limit."""

    def __init__(self, dense: Sequence[Scored], sparse: Sequence[Scored]) -> None:
        self.dense, self.sparse = list(dense), list(sparse)
        self.asked_vectors: list[bool] = []

    async def search(
        self, scope: Scope, probes: Sequence[Probe], limit: int, *, with_vectors: bool = False
    ) -> list[list[Scored]]:
        self.asked_vectors.append(with_vectors)
        return [(self.dense if isinstance(probe, Dense) else self.sparse)[:limit] for probe in probes]

    async def upsert(self, points: Sequence[Point]) -> None:
        raise NotImplementedError

    async def delete(self, selector: Selector) -> None:
        raise NotImplementedError

    async def count(self, selector: Selector) -> int:
        raise NotImplementedError

    async def ping(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class OneVector:
    """An embedder that gives every text the same vector."""

    class counter:  # noqa: N801  it stands for an attribute
        @staticmethod
        def words(text: str) -> list[Word]:
            return [Word(0, len(text), 1)]

    async def embed(self, texts: Sequence[str], lane: Lane) -> Embedded:
        return Embedded(tuple((1.0, 0.0) for _ in texts), len(texts))

    async def ping(self) -> None:
        """It is always there."""


def scored(name: str, score: float, text: str = "", vector: tuple[float, ...] = (1.0, 0.0)) -> Scored:
    shown = text or f"text of {name}"
    return Scored(Passage(name, f"doc_{name}", "vs_1", "a.md", None, shown, 0, len(shown)), score, vector)


async def found(query: Query, dense: Sequence[Scored], sparse: Sequence[Scored] = ()) -> list[Hit]:
    return await search(query, probes_of(query, BegunVectors(OneVector())), SCOPE, Rankings(dense, sparse), Fusion())


def names(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage.chunk_id for hit in hits]


def test_weighted_fusion_brings_both_rankings_to_one_scale() -> None:
    fused = weighted_fusion([(0.5, {"a": 0.9, "b": 0.7, "c": 0.5}), (0.5, {"c": 40.0, "d": 20.0})])
    assert [(item.id, item.score) for item in fused] == [("a", 0.5), ("c", 0.5), ("b", pytest.approx(0.25)), ("d", 0.0)]


@given(st.dictionaries(st.text(max_size=3), finite, max_size=12))
def test_scaled_scores_lie_between_0_and_1_and_keep_their_order(scores: dict[str, float]) -> None:
    result = scaled(scores)
    assert result.keys() == scores.keys()
    assert all(0 <= value <= 1 for value in result.values())
    assert sorted(scores, key=scores.__getitem__) == sorted(scores, key=lambda item: (result[item], scores[item]))


async def test_alpha_moves_weighted_fusion_from_dense_to_bm25() -> None:
    dense, sparse = [scored("a", 0.9), scored("b", 0.1)], [scored("b", 9.0), scored("a", 1.0)]
    for alpha, first in ((0.0, "a"), (0.4, "a"), (0.6, "b"), (1.0, "b")):
        assert names(await found(Query(query="word", fusion="weighted", alpha=alpha), dense, sparse))[0] == first


async def test_a_hit_says_how_it_came_to_its_place() -> None:
    hits = await found(Query(query="word", fusion="rrf"), [scored("a", 0.9), scored("b", 0.5)], [scored("b", 7.0)])
    best = hits[0]
    assert names(hits) == ["b", "a"] or names(hits) == ["a", "b"]
    by_name = {hit.passage.chunk_id: hit for hit in hits}
    assert by_name["b"].places == {"dense": (2, 0.5), "bm25": (1, 7.0)}
    assert by_name["a"].places == {"dense": (1, 0.9)}
    assert best.joined == (1, best.score)
    assert by_name["b"].score == pytest.approx(1 / (2 + 2) + 0.5 / (2 + 1))


async def test_the_same_text_is_given_once_when_asked() -> None:
    dense = [scored("a", 0.9, "The  Same"), scored("b", 0.8, "the same"), scored("c", 0.7)]
    sparse = [scored("b", 3.0, "the same"), scored("c", 2.0)]
    assert names(await found(Query(query="word", mode="dense", deduplicate=True), dense)) == ["a", "c"]
    assert set(names(await found(Query(query="word", deduplicate=True), dense, sparse))) == {"a", "c"}
    assert len(await found(Query(query="word"), dense, sparse)) == 3


@given(st.data())
async def test_the_order_in_which_the_engine_has_equal_scores_changes_nothing(data: st.DataObject) -> None:
    """Of more than were asked for the engine chooses; in hybrid search that is twice as many as are shown."""
    at = st.tuples(st.sampled_from(["doc_a", "doc_b"]), st.integers(0, 9))
    placed = data.draw(st.dictionaries(at, st.sampled_from([0.25, 0.5, 1.0]), min_size=1, max_size=8))
    points = [
        Scored(Passage(f"{document}.{start}", document, "vs_1", "a.md", None, "the same", start, start + 1), score)
        for (document, start), score in placed.items()
    ]
    mode, once = data.draw(st.sampled_from(["hybrid", "dense"])), data.draw(st.booleans())
    query = Query.model_validate({"query": "word", "mode": mode, "deduplicate": once, "top_k": len(points)})
    told = []
    for _ in range(2):
        dense, sparse = (sorted(data.draw(st.permutations(points)), key=lambda one: -one.score) for _ in range(2))
        told.append(names(await found(query, dense, sparse)))
    assert told[0] == told[1]
    best = min(points, key=lambda one: (-one.score, one.passage.document_id, one.passage.start))
    assert told[0][0] == best.passage.chunk_id, "the earliest place of the best is first, and is the one that is kept"


async def test_what_scores_too_little_is_left_out() -> None:
    dense = [scored("a", 0.9), scored("b", 0.4)]
    assert names(await found(Query(query="word", mode="dense", min_score=0.5), dense)) == ["a"]
    assert await found(Query(query="word", mode="dense", min_score=0.95, diversity=0.5), dense) == []


async def test_diversity_puts_something_else_before_a_near_copy() -> None:
    dense = [
        scored("a", 0.9, vector=(1.0, 0.0)),
        scored("copy", 0.89, vector=(1.0, 0.01)),
        scored("c", 0.6, vector=(0.0, 1.0)),
    ]
    assert names(await found(Query(query="word", mode="dense", top_k=2), dense)) == ["a", "copy"]
    spread = await found(Query(query="word", mode="dense", top_k=2, diversity=0.6), dense)
    assert names(spread) == ["a", "c"]
    assert (spread[0].likeness, spread[1].likeness) == (None, pytest.approx(0.0))
    assert spread[1].joined.rank == 3


async def test_vectors_are_fetched_only_for_diversity() -> None:
    store = Rankings([scored("a", 0.9)], [])
    await search(Query(query="word"), probes_of(Query(query="word"), BegunVectors(OneVector())), SCOPE, store, Fusion())
    await search(
        Query(query="word", diversity=0.1),
        probes_of(Query(query="word", diversity=0.1), BegunVectors(OneVector())),
        SCOPE,
        store,
        Fusion(),
    )
    assert store.asked_vectors == [False, False, True, True]


async def test_no_document_that_matches_means_no_search() -> None:
    store = Rankings([scored("a", 0.9)], [])
    assert (
        await search(
            Query(query="word"),
            probes_of(Query(query="word"), BegunVectors(OneVector())),
            Scope("acme", ("vs_1",), (), ()),
            store,
            Fusion(),
        )
        == []
    )
    assert store.asked_vectors == []


@given(
    st.lists(st.tuples(st.floats(0, 1), finite, finite), min_size=1, max_size=15), st.floats(0, 1), st.integers(1, 15)
)
def test_diversity_chooses_each_candidate_once(
    candidates: list[tuple[float, float, float]], diversity: float, limit: int
) -> None:
    vectors = np.array([[1.5 + x, y] for _, x, y in candidates], dtype=np.float32)
    relevance = [value for value, _, _ in candidates]
    chosen = maximal_marginal_relevance(relevance, vectors, diversity, limit)
    assert len({item.position for item in chosen}) == len(chosen) == min(limit, len(candidates))
    assert chosen[0].position == relevance.index(max(relevance)) or diversity == 1
    plain = maximal_marginal_relevance(relevance, vectors, 0.0, limit)
    assert [relevance[item.position] for item in plain] == sorted(relevance, reverse=True)[:limit]


def test_no_candidates_no_choice() -> None:
    assert maximal_marginal_relevance([], np.zeros((0, 2), dtype=np.float32), 0.5, 3) == []


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"type": "eq", "key": "a", "value": ["x"]}, "takes one value"),
        ({"type": "in", "key": "a", "value": "x"}, "takes a list"),
        ({"type": "gt", "key": "a", "value": True}, "a number or a text"),
        ({"type": "eq", "key": 'a"b', "value": "x"}, "pattern"),
        ({"type": "like", "key": "a", "value": "x"}, "eq"),
        ({"type": "and", "filters": []}, "at least 1"),
    ],
)
def test_a_wrong_filter_is_explained(filters: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SearchRequest.model_validate({"query": "x", "filters": filters})


def test_a_filter_may_not_be_too_deep_or_too_large() -> None:
    leaf: dict[str, object] = {"type": "eq", "key": "a", "value": "x"}
    nested = leaf
    for _ in range(5):
        nested = {"type": "and", "filters": [nested]}
    with pytest.raises(ValidationError, match="5 levels deep"):
        Compound.model_validate(nested)
    wide = {"type": "or", "filters": [{"type": "and", "filters": [leaf] * 19}] * 3}
    with pytest.raises(ValidationError, match="50 parts"):
        Compound.model_validate(wide)


def test_probes_are_told_apart() -> None:
    assert not isinstance(Dense((1.0,)), Sparse)


class WhenTold(OneVector):
    """An embedder that reads nothing before it is told to."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def embed(self, texts: Sequence[str], lane: Lane) -> Embedded:
        await self.told.wait()
        return await super().embed(texts, lane)


async def test_words_are_ranked_while_the_question_is_read() -> None:
    store, embedder = Rankings([scored("a", 0.9)], [scored("b", 3.0)]), WhenTold()
    async with BegunVectors(embedder) as begun:
        probes = probes_of(Query(query="word"), begun)
        finding = asyncio.create_task(search(Query(query="word"), probes, SCOPE, store, Fusion()))
        while not store.asked_vectors:
            await asyncio.sleep(0)
        embedder.told.set()
        hits = await finding
    assert {name for hit in hits for name in hit.places} == {"dense", "bm25"}


async def test_what_nobody_waits_for_is_read_no_further() -> None:
    async with BegunVectors(WhenTold()) as begun:
        first = begun.begin("word")
        assert begun.begin("word") is first
    assert first.cancelled()


class Shortest:
    """A reranker that likes short texts."""

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> Reranked:
        return Reranked("shortest", [-float(len(candidate.text)) for candidate in candidates])


async def test_the_best_candidates_are_ranked_anew_and_both_places_are_told() -> None:
    dense = [scored(str(number), 1 - number / 10, text="x" * (9 - number)) for number in range(6)]
    query = Query(query="q", mode="dense", top_k=2, candidates=4, rerank="features")
    hits = await search(
        query, probes_of(query, BegunVectors(OneVector())), SCOPE, Rankings(dense, []), Fusion(), Shortest()
    )
    assert [hit.passage.chunk_id for hit in hits] == ["3", "2"]  # of the first four
    assert (hits[0].joined.rank, hits[0].reranked, hits[0].reranker) == (4, (1, -6.0), "shortest")
    assert hits[0].score == -6.0
    least = query.model_copy(update={"min_score": -6.5})
    hits = await search(
        least, probes_of(query, BegunVectors(OneVector())), SCOPE, Rankings(dense, []), Fusion(), Shortest()
    )
    assert [hit.passage.chunk_id for hit in hits] == ["3"]
