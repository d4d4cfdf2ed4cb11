"""The real embedding model: what is known of it must hold."""

import asyncio
import time

import numpy as np
import pytest

from sluice.minilm.files import find_model_files
from sluice.telemetry.metrics import MetricRegistry
from sluice_retrieval.adapters.minilm import DIMENSIONS, WINDOW, MiniLmEmbedder
from sluice_retrieval.domain.tokens import count_tokens
from sluice_retrieval.metrics import Metrics


def cosine(left: tuple[float, ...], right: tuple[float, ...]) -> float:
    return float(np.dot(left, right))


async def test_similar_sentences_are_near_and_others_far(embedder: MiniLmEmbedder) -> None:
    texts = [
        "A man is eating food.",
        "A man is eating a piece of bread.",
        "The stock market fell sharply on Tuesday.",
        "Share prices dropped a lot yesterday.",
    ]
    eating, bread, market, shares = (await embedder.embed(texts, "query")).vectors
    assert cosine(eating, bread) > 0.6
    assert cosine(market, shares) > 0.45
    assert max(cosine(eating, market), cosine(eating, shares), cosine(bread, market)) < 0.2


async def test_vectors_are_unit_length_and_do_not_depend_on_their_batch(embedder: MiniLmEmbedder) -> None:
    texts = ["short", "a somewhat longer sentence about gateways and routers", "word " * 120]
    together = (await embedder.embed(texts, "bulk")).vectors
    assert all(len(vector) == DIMENSIONS for vector in together)
    assert np.linalg.norm(np.array(together), axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    for text, vector in zip(texts, together, strict=True):
        (alone,) = (await embedder.embed([text], "query")).vectors
        assert cosine(alone, vector) > 0.9999


async def test_order_is_kept_over_batches(embedder: MiniLmEmbedder) -> None:
    texts = [("word " * (1 + 37 * number % 60)) + str(number) for number in range(40)]
    vectors = (await embedder.embed(texts, "bulk")).vectors
    for number in (0, 7, 23, 39):
        (alone,) = (await embedder.embed([texts[number]], "query")).vectors
        assert int(np.argmax(np.array(vectors) @ np.array(alone))) == number


async def test_tokens_are_counted_with_the_special_ones(embedder: MiniLmEmbedder) -> None:
    embedded = await embedder.embed(["hello world", "hello"], "query")
    assert embedded.tokens == 4 + 3
    assert count_tokens("hello world", embedder.counter) == 2


async def test_the_end_of_a_long_text_counts(embedder: MiniLmEmbedder) -> None:
    filler = "The weather is mild and the sea is calm today. " * 40
    assert count_tokens(filler, embedder.counter) > WINDOW
    plain, ending = (
        await embedder.embed([filler, filler + "Kubernetes pods restart when memory limits are hit. " * 25], "bulk")
    ).vectors
    (question,) = (await embedder.embed(["Why do Kubernetes pods restart?"], "query")).vectors
    assert cosine(question, ending) > cosine(question, plain) + 0.1


async def test_the_loop_stays_free_while_it_works(embedder: MiniLmEmbedder) -> None:
    await embedder.load()
    working = asyncio.create_task(embedder.embed(["word " * 200] * 16, "bulk"))
    longest, last = 0.0, (began := time.perf_counter())
    while not working.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    assert longest < max(0.25, (last - began) / 3), "a busy machine takes longer over both"


async def test_a_query_does_not_wait_for_bulk_work(embedder: MiniLmEmbedder) -> None:
    await embedder.load()
    working = asyncio.create_task(embedder.embed(["word " * 200] * 40, "bulk"))
    await asyncio.sleep(0.05)
    await embedder.embed(["a short question"], "query")
    assert not working.done()
    await working


async def test_an_idle_model_is_freed_and_comes_back() -> None:
    embedder = MiniLmEmbedder(find_model_files(), Metrics(MetricRegistry()), idle_s=0.01)
    assert not embedder.loaded()
    first = await embedder.embed(["hello"], "query")
    assert embedder.loaded()
    await asyncio.sleep(0.05)
    counted = embedder.counter
    assert embedder.counter is counted
    embedder.free_if_idle()
    assert not embedder.loaded()
    assert embedder.counter is not counted, "the tokenizer goes with the model"
    assert count_tokens("hello world", embedder.counter) == 2
    assert await embedder.embed(["hello"], "query") == first
    await embedder.close()


async def test_nothing_in_nothing_out(embedder: MiniLmEmbedder) -> None:
    assert (await embedder.embed([], "bulk")).vectors == ()
    assert not embedder.loaded()
