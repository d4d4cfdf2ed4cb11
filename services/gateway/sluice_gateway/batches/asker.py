"""Asks the requests of a batch, a few at a time, and keeps each answer before the next one takes its place."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sluice.clock import Clock
from sluice_gateway.batches.files import BatchPapers
from sluice_gateway.batches.gate import Gate, Stop
from sluice_gateway.batches.metrics import BatchWorkerMetrics
from sluice_gateway.batches.writer import AnswerWriter
from sluice_gateway.domain.batch_lines import RequestLine, answered, unanswered
from sluice_gateway.domain.batches import BatchBook, BatchTarget, KeyCheck, KeyRefused, LineAnswer, NotAnswered, Work

_LOOK_S = 0.5
_AT_ONCE = frozenset({"lost", "expired", "key_refused"})


@dataclass(frozen=True, slots=True)
class AskLimits:
    """Requests of one batch at once; tries of a request that breaks; seconds for one, before another try, and for those that
    are under way when the batch is to end here."""

    lanes: int
    max_tries: int
    request_s: float
    first_pause_s: float
    grace_s: float


@dataclass(frozen=True, slots=True)
class BatchAsker:
    """Asks for the batches of one worker process."""

    book: BatchBook
    papers: BatchPapers
    target: BatchTarget
    keys: KeyCheck
    gate: Gate
    clock: Clock
    metrics: BatchWorkerMetrics
    limits: AskLimits
    new_id: Callable[[str], str]

    async def ask_all(self, work: Work, owner: str, stop: Stop) -> None:
        """Ask every line that has no answer, until all have one or `stop` tells to end.

        Raises:
            BatchLost: the batch is no longer this worker's.
        """
        writer = AnswerWriter(self.book, work.key, owner)
        writing = asyncio.create_task(writer.run())
        told = asyncio.create_task(stop.told())
        lanes: set[asyncio.Task[None]] = set()
        try:
            done = await self.book.answered(work.key)
            async for line in self.papers.requests(work):
                if line.number in done:
                    continue
                await _until(lanes, told, fewer_than=self.limits.lanes)
                if stop.why is not None:
                    break
                lanes.add(asyncio.create_task(self._lane(work, line, stop, writer)))
            await _until(lanes, told, fewer_than=1)
            await self._let_end(lanes, stop)
        finally:
            for task in (*lanes, told, writing):
                task.cancel()
            await asyncio.gather(*lanes, told, writing, return_exceptions=True)

    async def _let_end(self, lanes: set[asyncio.Task[None]], stop: Stop) -> None:
        # A batch whose turn is over waits for what it has begun, since that is paid for; the other reasons allow less.
        while lanes and stop.why == "turn":
            ended, _ = await asyncio.wait(lanes, timeout=_LOOK_S)
            for task in ended:
                lanes.discard(task)
                task.result()
        if lanes and stop.why not in _AT_ONCE:
            await asyncio.wait(lanes, timeout=self.limits.grace_s)

    async def _lane(self, work: Work, line: RequestLine, stop: Stop, writer: AnswerWriter) -> None:
        answer = await self._answer(work, line, stop)
        if answer is not None:
            await writer.put(answer)
            self.metrics.answers.labels("ok" if answer.ok else "error").inc()

    async def _answer(self, work: Work, line: RequestLine, stop: Stop) -> LineAnswer | None:
        # None leaves the line for the next worker, or for the end of the batch.
        broken = 0
        while True:
            try:
                return await self._once(work, line, stop)
            except KeyRefused:
                if not await self.keys.works(work.on_behalf):
                    stop.tell("key_refused")
                    return None
                self.metrics.retries.labels("key").inc()
            except NotAnswered as exc:
                if exc.too_large:
                    return self._given_up(line, exc)
                self.metrics.retries.labels("busy" if exc.busy else "broken").inc()
                if not exc.busy:
                    broken += 1
                    if broken >= self.limits.max_tries:
                        return self._given_up(line, exc)
                    await stop.wait(self.limits.first_pause_s * 2.0 ** (broken - 1))
            if stop.why is not None:
                return None
            # What was refused for want of room waits at the gate.

    async def _once(self, work: Work, line: RequestLine, stop: Stop) -> LineAnswer | None:
        async with self.gate.passing(work.on_behalf, line.model, stop) as pace:
            if pace is None:
                return None
            began = self.clock.monotonic()
            self.metrics.under_way.inc()
            try:
                said = await self.target.ask(work.on_behalf, work.endpoint, line.body, self.limits.request_s)
            except NotAnswered as exc:
                if exc.said is not None and exc.spent and not self._may_be_covered(work, exc):
                    return self._given_up(line, exc)
                if exc.busy:
                    pace.refused(self.clock.monotonic(), exc.after_s)
                raise
            except KeyRefused:
                pace.refused(self.clock.monotonic(), None)
                raise
            finally:
                self.metrics.under_way.dec()
            pace.answered()
        self.metrics.seconds.observe(self.clock.monotonic() - began)
        return answered(said.request_id, line, said.status, said.body, self.new_id("batch_req"))

    def _may_be_covered(self, work: Work, refusal: NotAnswered) -> bool:
        # What is reserved for others of this key may come back when they end; and a new day or month has a new budget.
        if self.gate.under_way_of(work.on_behalf) > 1:
            refusal.after_s = None
            return True
        return refusal.after_s is not None and self.clock.now() + refusal.after_s <= work.expires_at

    def _given_up(self, line: RequestLine, exc: NotAnswered) -> LineAnswer:
        answer_id = self.new_id("batch_req")
        if exc.said is not None:
            return answered(exc.said.request_id, line, exc.said.status, exc.said.body, answer_id)
        code = "answer_too_large" if exc.too_large else "request_failed"
        return unanswered(line.number, line.custom_id, code, exc.reason, answer_id)


async def _until(lanes: set[asyncio.Task[None]], told: asyncio.Task[None], *, fewer_than: int) -> None:
    """Wait until fewer lanes are at work, or the batch is to end here; what a lane raised is raised."""
    while len(lanes) >= fewer_than and not told.done():
        ended, _ = await asyncio.wait((*lanes, told), return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            if task is not told:
                lanes.discard(task)
                task.result()
