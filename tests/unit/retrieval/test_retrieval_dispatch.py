"""Telling workers that documents wait."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from sluice.clock import SystemClock
from sluice.errors import DependencyUnavailable
from sluice_retrieval.domain.dispatch import Dispatch
from sluice_retrieval.domain.library import Waiting


class Queue:
    """Is away for the first messages."""

    def __init__(self, away: int) -> None:
        self.away, self.sent_to = away, list[str]()

    async def send(self, waiting: Waiting) -> None:
        if self.away:
            self.away -= 1
            raise DependencyUnavailable("away")
        self.sent_to.append(waiting.document_id)


class Record:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told = list[Sequence[str]]()
        self.changed = asyncio.Event()

    async def sent(self, document_ids: Sequence[str], again_at: float) -> None:
        self.told.append(document_ids)
        self.changed.set()


async def until_told(record: Record, dispatch: Dispatch, times: int) -> None:
    running = asyncio.create_task(dispatch.run())
    while len(record.told) < times:
        await asyncio.wait_for(record.changed.wait(), 2)
        record.changed.clear()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_one_message_tells_of_all_documents_that_came_meanwhile() -> None:
    queue, record = Queue(0), Record()
    dispatch = Dispatch(queue, record, SystemClock(), 300)
    for number in range(5):
        dispatch.tell(Waiting("acme", "vs_1", f"doc_{number}"))
    await until_told(record, dispatch, 1)
    dispatch.tell(Waiting("acme", "vs_1", "doc_5"))
    await until_told(record, dispatch, 2)
    assert queue.sent_to == ["doc_0", "doc_5"]
    assert record.told == [[f"doc_{number}" for number in range(5)], ["doc_5"]]


async def test_what_the_queue_did_not_get_is_told_again() -> None:
    queue, record = Queue(1), Record()
    dispatch = Dispatch(queue, record, SystemClock(), 300, retry_s=0.01)
    dispatch.tell(Waiting("acme", "vs_1", "doc_0"))
    await until_told(record, dispatch, 1)
    assert queue.sent_to == ["doc_0"]
