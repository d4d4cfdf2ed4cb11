"""Answers are written in groups, wait out a database that is away, and tell everybody when the batch is lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from sluice.errors import DependencyUnavailable
from sluice_gateway.batches.book import SqlBatchBook
from sluice_gateway.batches.writer import AnswerWriter
from sluice_gateway.domain.batches import BatchKey, LineAnswer
from sluice_gateway.domain.file_errors import BatchLost

KEY = BatchKey("acme", "batch_1")


@dataclass
class Book(SqlBatchBook):
    """A book that keeps what it gets, or raises what it is told."""

    failing: list[Exception] = field(default_factory=list)
    groups: list[list[int]] = field(default_factory=list)

    async def write(self, key: BatchKey, owner: str, answers: Sequence[LineAnswer]) -> None:
        if self.failing:
            raise self.failing.pop(0)
        await asyncio.sleep(0)
        self.groups.append([answer.line for answer in answers])


async def put_all(book: Book, count: int) -> list[object]:
    writer = AnswerWriter(book, KEY, "me")
    running = asyncio.create_task(writer.run())
    try:
        puts = (writer.put(LineAnswer(n, ok=True, text="{}")) for n in range(count))
        return await asyncio.gather(*puts, return_exceptions=True)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_comes_at_once_is_written_at_once() -> None:
    book = Book()
    assert await put_all(book, 120) == [None] * 120
    assert sorted(line for group in book.groups for line in group) == list(range(120))
    assert len(book.groups) <= 5
    assert max(map(len, book.groups)) <= 50


async def test_a_database_that_is_away_is_waited_for() -> None:
    book = Book(failing=[DependencyUnavailable("away")])
    assert await put_all(book, 3) == [None] * 3
    assert sorted(line for group in book.groups for line in group) == [0, 1, 2]


async def test_a_lost_batch_is_told_to_everybody_who_waits() -> None:
    told = await put_all(Book(failing=[BatchLost("lost")] * 9), 5)
    assert [type(item) for item in told] == [BatchLost] * 5


@pytest.mark.parametrize("count", [1, 50, 51])
async def test_no_answer_waits_for_company(count: int) -> None:
    book = Book()
    async with asyncio.timeout(60):
        await put_all(book, count)
