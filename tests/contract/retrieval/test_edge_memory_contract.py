"""What the embedded engine's home keeps in memory: vectors of documents that searches name, and how many chunks hold a word."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tests.contract.retrieval.vector_homes import SPACE, point, scope, unit

from sluice.errors import DependencyUnavailable
from sluice.machine_code import Processor, can_compile
from sluice_retrieval.adapters.edge import EdgeVectorStore
from sluice_retrieval.adapters.edge_words import WordCounts
from sluice_retrieval.adapters.payloads import owner_of
from sluice_retrieval.domain.bm25 import query_terms, query_vector
from sluice_retrieval.domain.points import Dense, Scope, Selector, Sparse

pytestmark = pytest.mark.skipif(
    not can_compile(Processor.here()), reason="this processor has no AVX2, or the system lets no process make code"
)


@pytest.fixture
async def remembering(tmp_path: Path) -> AsyncIterator[EdgeVectorStore]:
    store = await EdgeVectorStore.open(tmp_path / "vectors", SPACE, memory_bytes=10_000_000)
    yield store
    await store.close()


async def read_by_now(store: EdgeVectorStore) -> None:
    """Wait until what searches named is in memory."""
    assert store._named is not None
    assert store._named._reading is not None
    await store._named._reading


def named(*documents: str) -> Scope:
    return scope()._replace(document_ids=documents)


async def test_documents_in_memory_are_ranked_as_the_engine_ranks_them(remembering: EdgeVectorStore) -> None:
    await remembering.upsert([point(number, document=f"doc_{number % 7}") for number in range(900)])
    asked = [Dense(unit(number)) for number in range(9000, 9010)]
    for where in (named("doc_1"), named("doc_1", "doc_3", "doc_6"), named("doc_2", "doc_none", "doc_5")):
        for hidden in ((), ("doc_3",)):
            seen = where._replace(hidden_document_ids=hidden)
            by_engine = await remembering.search(seen, asked, 20, with_vectors=True)
            await read_by_now(remembering)
            for engine, memory in zip(
                by_engine, await remembering.search(seen, asked, 20, with_vectors=True), strict=True
            ):
                assert [hit.passage for hit in memory] == [hit.passage for hit in engine]
                assert [hit.score for hit in memory] == pytest.approx([hit.score for hit in engine], abs=2e-4)
                assert [hit.dense for hit in memory] == [hit.dense for hit in engine]


async def test_what_is_not_in_memory_yet_is_ranked_with_what_is(remembering: EdgeVectorStore) -> None:
    points = [point(number, document=f"doc_{number % 2}") for number in range(40)]
    await remembering.upsert(points)
    await remembering.search(named("doc_0"), [Dense(unit(99))], 1)
    await read_by_now(remembering)
    ((*hits,),) = await remembering.search(named("doc_0", "doc_1"), [Dense(unit(99))], 9)
    expected = sorted(points, key=lambda item: -float(np.dot(item.dense, unit(99))))[:9]
    assert [hit.passage for hit in hits] == [item.passage for item in expected]


async def test_memory_knows_of_every_change(remembering: EdgeVectorStore) -> None:
    async def found(asked: int) -> list[str]:
        ((*hits,),) = await remembering.search(named("doc_1", "doc_2"), [Dense(unit(asked))], 1)
        return [hit.passage.text for hit in hits]

    async def known(asked: int) -> list[str]:
        before = await found(asked)
        await read_by_now(remembering)
        assert await found(asked) == before
        return before

    await remembering.upsert([point(1, text="one"), point(2, document="doc_2", text="two")])
    assert await known(1) == ["one"]
    await remembering.upsert([point(1, text="another")])
    assert await known(1) == ["another"]
    await remembering.upsert([point(3, text="third")])
    assert await known(3) == ["third"]
    await remembering.delete(Selector("acme", "vs_1", "doc_1"))
    assert await known(1) == ["two"]
    await remembering.delete(Selector("acme", "vs_1"))
    assert await found(1) == []
    await remembering.upsert([point(4, text="again")])
    assert await known(4) == ["again"]


async def test_a_document_that_changes_while_it_is_read_is_read_again(remembering: EdgeVectorStore) -> None:
    await remembering.upsert([point(1, text="old")])
    for number in range(2, 40):
        await remembering.search(named("doc_1"), [Dense(unit(1))], 1)  # begins to read it, if it is not in memory
        await remembering.upsert([point(number, text=f"text {number}")])
        ((*hits,),) = await remembering.search(named("doc_1"), [Dense(unit(number))], 1)
        assert [hit.passage.text for hit in hits] == [f"text {number}"]


async def test_a_change_that_nobody_waits_for_is_known_too(remembering: EdgeVectorStore) -> None:
    await remembering.upsert([point(1, text="old")])
    await remembering.search(named("doc_1"), [Dense(unit(1))], 1)
    await read_by_now(remembering)
    writing = asyncio.create_task(remembering.upsert([point(1, text="new"), point(2, text="second")]))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await remembering.upsert([point(3, document="doc_3")])  # changes are made one after the other
    ((*hits,),) = await remembering.search(named("doc_1"), [Dense(unit(2))], 9)
    assert [hit.passage.text for hit in hits] == ["second", "new"]
    await remembering.ping()


async def test_memory_has_an_end(tmp_path: Path) -> None:
    row = 2 * 2 * Processor.here().lanes()  # bytes of a whole register of shorts
    store = await EdgeVectorStore.open(tmp_path / "vectors", SPACE, memory_bytes=30 * row)
    await store.upsert([point(number, document=f"doc_{number % 6}") for number in range(60)])
    for documents in (("doc_0", "doc_1"), ("doc_2",), ("doc_1",), ("doc_3",)):
        await store.search(named(*documents), [Dense(unit(7))], 1)
        await read_by_now(store)
    assert store._named is not None
    assert list(store._named._memory._kept) == ["doc_2", "doc_1", "doc_3"], "what was not asked for longest went first"
    await store.search(named(*(f"doc_{number}" for number in range(6))), [Dense(unit(7))], 1)
    assert store._named._reading is not None
    assert store._named._reading.done(), "more than there is room for is not read"
    await store.close()


WORDS = [f"word{number}" for number in range(40)]


def words_of(dice: random.Random) -> str:
    return " ".join(dice.choices(WORDS, weights=[1 / (1 + at) for at in range(len(WORDS))], k=12))


async def counted(store: EdgeVectorStore) -> None:
    """Wait until the words of what was searched are counted, if they were not from the first."""
    if store._counting is not None:
        await store._counting


def asked(text: str) -> list[Sparse]:
    return [Sparse(query_vector(query_terms(text)))]


def weighs(store: EdgeVectorStore, one: str) -> bool:
    """Tell whether the words of a store are counted."""
    assert store._words is not None
    return store._words.weighed([owner_of("acme", one)], asked("word1")[0].vector) is not None


@pytest.mark.parametrize("reopened", [False, True], ids=["counted from the first", "counted when searched"])
async def test_words_weigh_as_the_engine_weighs_them_whatever_changes(*, reopened: bool, tmp_path: Path) -> None:
    dice = random.Random(11)
    plain = await EdgeVectorStore.open(tmp_path / "plain", SPACE)
    remembering = await EdgeVectorStore.open(tmp_path / "vectors", SPACE, memory_bytes=10_000_000)
    both = (remembering, plain)
    stores = ("vs_1", "vs_2", "vs_3")

    async def change() -> None:
        store, first = dice.choice(stores), dice.randrange(1500)
        document = f"{store}_{first // 100}"
        if dice.random() < 0.3:
            chosen = Selector("acme", store, document if dice.random() < 0.9 else None)
            for one in both:
                await one.delete(chosen)
            return
        some = range(first, min(first + dice.randrange(1, 120), 100 * (first // 100 + 1)))
        points = [point(number, store=store, document=document, text=words_of(dice)) for number in some]
        for one in both:
            await one.upsert(points)

    for _ in range(60):
        await change()
    if reopened:
        await remembering.close()
        remembering = await EdgeVectorStore.open(tmp_path / "vectors", SPACE, memory_bytes=10_000_000)
        both = (remembering, plain)
    held = [one for one in stores if await plain.count(Selector("acme", one))]
    assert [one for one in stores if weighs(remembering, one)] == ([] if reopened else held)
    for round_ in range(40):
        where = Scope("acme", tuple(dice.sample(stores, dice.randrange(1, 4))))
        probes = asked(" ".join(dice.sample(WORDS, 3)) + " unknown")
        found, expected = [(await one.search(where, probes, 2000))[0] for one in both]
        assert {hit.passage.chunk_id: hit.score for hit in found} == pytest.approx(
            {hit.passage.chunk_id: hit.score for hit in expected}, rel=1e-4
        )
        if round_ % 3:
            await counted(remembering)
        await change()  # also while words are being counted
    assert remembering._counting is not None or not reopened
    assert weighs(remembering, "vs_1")
    for one in both:
        await one.close()


async def test_a_failed_change_has_words_counted_anew(remembering: EdgeVectorStore) -> None:
    await remembering.upsert([point(1, text="gateway"), point(2, text="engine")])
    words, owners = remembering._words, [owner_of("acme", "vs_1")]
    assert words is not None
    assert words.weighed(owners, asked("gateway")[0].vector) is not None
    with pytest.raises(DependencyUnavailable):
        await remembering.upsert([point(3, text="gateway")._replace(dense=(1.0,))])
    assert words.weighed(owners, asked("gateway")[0].vector) is None
    await remembering.upsert([point(4, text="gateway")])
    assert words.weighed(owners, asked("gateway")[0].vector) is None, "what was there before is not counted yet"
    await remembering.search(scope(), asked("gateway"), 9)
    await counted(remembering)
    ((*hits,),) = await remembering.search(scope(), asked("gateway"), 9)
    assert [hit.passage.text for hit in hits] == ["gateway", "gateway"]
    assert words.weighed(owners, asked("gateway")[0].vector) is not None


async def test_words_of_no_more_stores_are_counted_than_have_room(remembering: EdgeVectorStore) -> None:
    for store in ("vs_1", "vs_2", "vs_3"):
        await remembering.upsert([point(1, store=store, document=f"{store}_1", text="one two three")])
    many = point(1, store="vs_4", document="vs_4_1", text=" ".join(f"word{number}" for number in range(10)))
    await remembering.upsert([many])
    words = WordCounts(remembering._shard, most_terms=7)
    owners = [owner_of("acme", f"vs_{number}") for number in range(1, 5)]
    for owner in owners[:2]:
        words.count_on(owner)
    assert words.weighed(owners[:1], asked("one")[0].vector) is not None
    words.count_on(owners[2])
    known = [words.weighed([owner], asked("one")[0].vector) is not None for owner in owners]
    assert known == [True, False, True, False], "what was not asked for longest went first"
    words.count_on(owners[3])
    assert not words.count_on(owners[3])
    assert words.weighed(owners[3:], asked("one")[0].vector) is None, "more than there is room for is never counted"
