"""Where the time goes: the stages are those of a real request, and the tables add up."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bench.errors import BenchError
from tests.bench.hotpath import exchange_of, hot_path, stream_exchange_of
from tests.bench.mock import MODEL
from tests.bench.stages import Cost, StreamCosts, check, measure, stream_costs, stream_table, table

BODY = b'{"model": "%b", "messages": [{"role": "user", "content": "hello"}]}' % MODEL.encode()


@pytest.fixture
def usual_collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


async def test_every_stage_can_be_called_and_none_is_free(tmp_path: Path, usual_collector: None) -> None:
    async with hot_path(tmp_path) as path:
        costs, whole = measure(path, exchange_of(BODY), batches=2)
        await path.plane.close()
    assert all(cost.microseconds > 0 for cost in costs)
    titles = {cost.title for cost in costs if cost.within is None}
    assert {cost.within for cost in costs} - {None} <= titles
    assert whole > max(cost.microseconds for cost in costs)


async def test_an_answer_that_is_not_right_is_not_measured(tmp_path: Path) -> None:
    async with hot_path(tmp_path) as path:
        with pytest.raises(BenchError, match="did not reach the engine"):
            check(path, exchange_of(BODY.replace(MODEL.encode(), b"unknown")))
        await path.plane.close()


async def test_a_stream_is_taken_apart(tmp_path: Path) -> None:
    streamed = BODY.replace(b"{", b'{"stream": true, ', 1)
    async with hot_path(tmp_path) as path:
        before = path.journal.appended
        found = stream_costs(path, stream_exchange_of(streamed), rounds=3)
        assert path.journal.appended == before + 3
        await path.plane.close()
    assert 0 < found.word < found.opening
    assert found.end > found.word


def test_parts_of_a_stage_do_not_count_twice() -> None:
    costs = [Cost("a", 6.0), Cost("b", 5.0, "a"), Cost("c", 2.0)]
    assert table(costs, 10.0).splitlines()[2:] == [
        "| a | 6.00 | 60% |",
        "| · of it: b | 5.00 |  |",
        "| c | 2.00 | 20% |",
        "| sum of the stages | 8.00 | 80% |",
        "| between the stages | 2.00 | 20% |",
        "| **a whole request** | **10.00** | |",
    ]


def test_a_whole_stream_is_its_opening_its_words_and_its_end() -> None:
    assert "| **a whole stream of 64 words** | **156.00** |" in stream_table(StreamCosts(20.0, 2.0, 10.0))


def test_the_engine_gets_what_the_client_sent() -> None:
    exchange = exchange_of(BODY)
    assert exchange.request.endswith(BODY)
    assert exchange.reply.endswith(exchange.reply_body)
