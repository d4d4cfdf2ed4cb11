"""Questions that come at the same time share calls of an embedding model: which, how long they wait, and whose mistake fails whom."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from sluice.clients.http import HttpAnswer
from sluice.errors import UpstreamFailed
from sluice.telemetry.metrics import MetricRegistry
from sluice_retrieval.adapters.joined import JoinedEmbedder, Joining
from sluice_retrieval.adapters.openai_embedder import Endpoint, OpenAIEmbedder
from sluice_retrieval.domain.errors import EmbeddingInputInvalid
from sluice_retrieval.domain.tokens import Word
from sluice_retrieval.metrics import Metrics


class Wire:
    """An endpoint that answers when it is let, and refuses the text `bad`."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.open = asyncio.Event()
        self.status = 200

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        texts = json.loads(body or b"")["input"]
        self.asked.append(texts)
        await self.open.wait()
        if "bad" in texts or self.status != 200:
            return HttpAnswer(400 if "bad" in texts else self.status, {}, b"{}")
        data = [{"index": at, "embedding": [float(len(text)), 1.0]} for at, text in enumerate(texts)]
        return HttpAnswer(
            200, {}, json.dumps({"data": data, "usage": {"prompt_tokens": sum(map(len, texts))}}).encode()
        )


class Counter:
    def words(self, text: str) -> list[Word]:
        return []


class Bench:
    """A model behind the wire, and questions to it."""

    def __init__(self, joining: Joining, clock: Any = None) -> None:
        self.wire = Wire()
        self.registry = MetricRegistry()
        metrics = Metrics(self.registry)
        endpoint = Endpoint("ours", "http://model/v1", "theirs", 2, at_once=64, normalize=False, retries=0)
        model = OpenAIEmbedder(self.wire, endpoint, Counter(), metrics)
        self.joined = JoinedEmbedder(model, joining, metrics, **({"clock": clock} if clock else {}))

    def ask(self, *texts: str) -> "asyncio.Task[Any]":
        return asyncio.create_task(self.joined.embed(texts, "query"))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_idle_model_is_asked_at_once_and_what_comes_meanwhile_shares_the_next_call() -> None:
    bench = Bench(Joining(most=32, wait_s=60.0))
    first = bench.ask("one")
    await turns()
    assert bench.wire.asked == [["one"]]
    others = [bench.ask("three"), bench.ask("four", "fifteen"), bench.ask("six")]
    await turns()
    assert bench.wire.asked == [["one"]]  # the model is busy
    bench.wire.open.set()
    found = await asyncio.gather(first, *others)
    assert sorted(bench.wire.asked[1]) == ["fifteen", "four", "six", "three"]
    assert len(bench.wire.asked) == 2
    assert [one.vectors for one in found] == [((3.0, 1.0),), ((5.0, 1.0),), ((4.0, 1.0), (7.0, 1.0)), ((3.0, 1.0),)]
    assert [one.tokens for one in found] == [3, 5, 11, 3]  # divided by characters, together what was counted
    count = bench.registry.registry.get_sample_value("sluice_retrieval_joined_texts_count")
    assert count == 2.0


async def test_nobody_waits_longer_than_the_limit_and_a_full_call_goes_at_once() -> None:
    bench = Bench(Joining(most=3, wait_s=0.02))
    bench.ask("busy")
    await turns()
    bench.ask("late")
    await turns()
    assert len(bench.wire.asked) == 1
    await asyncio.sleep(0.05)
    assert bench.wire.asked[1:] == [["late"]]
    for text in ("a", "b", "c"):
        bench.ask(text)
    await turns()
    assert bench.wire.asked[2:] == [["a", "b", "c"]]
    await bench.joined.close()


async def test_the_longest_waiting_goes_with_those_of_its_length() -> None:
    bench = Bench(Joining(most=3, wait_s=60.0))
    bench.ask("busy")
    await turns()
    asked = [bench.ask("x" * 10), bench.ask("x" * 200), bench.ask("x" * 11, "x" * 12)]  # more than may share a call
    await turns()
    assert [[len(text) for text in texts] for texts in bench.wire.asked[1:]] == [[10, 11, 12]]
    bench.wire.open.set()
    await asyncio.gather(*asked)
    assert [len(text) for text in bench.wire.asked[2]] == [200]


async def test_a_refused_text_fails_its_own_request_only() -> None:
    bench = Bench(Joining())
    first = bench.ask("busy")
    await turns()
    good, bad = bench.ask("good"), bench.ask("bad")
    await turns()
    bench.wire.open.set()
    await first
    assert (await good).vectors == ((4.0, 1.0),)
    with pytest.raises(EmbeddingInputInvalid):
        await bad
    assert bench.wire.asked[1:] == [["good", "bad"], ["good"], ["bad"]]


async def test_a_failed_call_fails_all_who_share_it_and_the_next_works() -> None:
    bench = Bench(Joining())
    bench.wire.open.set()
    bench.wire.status = 404
    found = await asyncio.gather(bench.ask("a"), bench.ask("b"), return_exceptions=True)
    assert [type(one) for one in found] == [UpstreamFailed, UpstreamFailed]
    bench.wire.status = 200
    assert (await bench.ask("c")).tokens == 1


async def test_who_leaves_is_not_asked_for_and_documents_do_not_wait() -> None:
    bench = Bench(Joining(wait_s=60.0))
    first = bench.ask("busy")
    await turns()
    gone, stays = bench.ask("gone"), bench.ask("stays")
    await turns()
    gone.cancel()
    document = asyncio.create_task(bench.joined.embed(["document"], "bulk"))
    await turns()
    assert bench.wire.asked[1:] == [["document"]]
    bench.wire.open.set()
    await asyncio.gather(first, stays, document)
    assert bench.wire.asked[2:] == [["stays"]]


async def test_the_number_of_texts_is_tuned_to_how_long_a_call_takes() -> None:
    now, takes = [0.0], [0.5]

    def clock() -> float:  # is read before and after each call
        now[0] += takes[0] / 2
        return now[0] * 2

    bench = Bench(Joining(most=8, wait_s=60.0, target_s=1.0), clock)
    bench.wire.open.set()
    assert bench.joined.limit == 2
    limits = []
    for takes[0] in (0.5,) * 8 + (2.0,) * 3:
        await asyncio.gather(*(bench.ask("x") for _ in range(2 * bench.joined.limit)))
        limits.append(bench.joined.limit)
    assert max(limits) <= 8
    assert limits[7] > 2, "quick calls let it grow"
    assert limits[-1] < limits[7], "slow ones make it shrink"
    assert bench.registry.registry.get_sample_value("sluice_retrieval_join_limit", {"model": "ours"}) == limits[-1]
    takes[0] = 100.0
    for _ in range(40):
        await asyncio.gather(*(bench.ask("x") for _ in range(4)))
    assert bench.joined.limit == 1, "never below one"
    takes[0] = 0.001
    for _ in range(40):
        await asyncio.gather(*(bench.ask("x") for _ in range(2 * bench.joined.limit)))
    assert bench.joined.limit == 8, "and back, never above `join`"
