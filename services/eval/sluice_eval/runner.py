"""Runs a suite: bounded concurrency, retries, a lease that says who is at it, and one result per item."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from sluice.clock import Clock
from sluice.contracts.evals import EvalItem, EvalItemResult
from sluice_eval.domain.runs import Answer, ChatTarget, MeaningReader, NotAnswered, RunBook, RunKey, Work, pause_before
from sluice_eval.domain.scoring import MAX_SCORED, Meaning, Verdict, meanings, score
from sluice_eval.metrics import EvalMetrics

_log = logging.getLogger(__name__)
_KEPT = 32_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often; seconds."""

    item_s: float
    run_s: float
    max_tries: int
    first_pause_s: float
    lease_s: float


class _Lost(Exception):
    """The run is no longer ours: cancelled, deleted, or taken over by another worker."""


class _RunFailed(Exception):
    """No question of this run can be answered."""


@dataclass(frozen=True, slots=True)
class EvalRunner:
    """Does the runs of one worker process."""

    book: RunBook
    target: ChatTarget
    clock: Clock
    metrics: EvalMetrics
    limits: Limits
    new_owner: Callable[[], str]
    reader: MeaningReader

    async def run(self, key: RunKey) -> None:
        """Do what is left of a run; a run that another worker holds, or that has ended, is left alone."""
        owner = self.new_owner()
        work = await self.book.take(key, owner, self.clock.now(), self.limits.lease_s)
        if work is None:
            return
        left = self.limits.run_s - (self.clock.now() - work.started_at)
        self.metrics.running.inc()
        try:
            async with asyncio.timeout(max(0.0, left)):
                await self._under_lease(key, owner, work)
        except _Lost:
            _log.info("run %s was cancelled or taken over", key.run_id)
        except _RunFailed as exc:
            await self._end(key, owner, str(exc))
        except TimeoutError:
            await self._end(key, owner, f"The run did not end within {self.limits.run_s:.0f} s.")
        else:
            await self._end(key, owner, None)
        finally:
            self.metrics.running.dec()

    async def _under_lease(self, key: RunKey, owner: str, work: Work) -> None:
        items = asyncio.create_task(self._all_items(key, owner, work))
        lease = asyncio.create_task(self._keep_lease(key, owner))
        try:
            await asyncio.wait((items, lease), return_when=asyncio.FIRST_COMPLETED)
            if lease.done():
                lease.result()
            await items
        finally:
            for task in (items, lease):
                task.cancel()
            await asyncio.gather(items, lease, return_exceptions=True)

    async def _keep_lease(self, key: RunKey, owner: str) -> None:
        while True:
            await asyncio.sleep(self.limits.lease_s / 3)
            if not await self.book.hold(key, owner, self.clock.now() + self.limits.lease_s):
                raise _Lost

    async def _all_items(self, key: RunKey, owner: str, work: Work) -> None:
        waiting = iter(
            [(position, item) for position, item in enumerate(work.suite.items, start=1) if position not in work.done]
        )

        async def lane() -> None:
            for position, item in waiting:
                result = await self._one_item(key, work, position, item)
                if not await self.book.write(key, owner, result):
                    raise _Lost
                self.metrics.items.labels(result.scorer, result.outcome).inc()

        lanes = [asyncio.create_task(lane()) for _ in range(work.concurrency)]
        try:
            await asyncio.gather(*lanes)
        finally:
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _one_item(self, key: RunKey, work: Work, position: int, item: EvalItem) -> EvalItemResult:
        began = self.clock.monotonic()
        tries = 0
        while True:
            tries += 1
            asked = self.clock.monotonic()
            left = self.limits.item_s - (asked - began)
            try:
                answer = await self.target.ask(work.on_behalf, work.model, item, work.suite.sampling, max(left, 0.001))
            except NotAnswered as exc:
                if exc.for_all:
                    raise _RunFailed(exc.reason) from exc
                pause = pause_before(tries + 1, self.limits.first_pause_s, exc.after_s)
                spent = self.clock.monotonic() - began
                if not exc.again or tries >= self.limits.max_tries or spent + pause >= self.limits.item_s:
                    return self._error(key, position, item, f"{exc.reason} (after {tries} tries)", tries)
                self.metrics.retries.inc()
                await asyncio.sleep(pause)
                continue
            seconds = self.clock.monotonic() - asked
            self.metrics.seconds.observe(seconds)
            # Scoring may take some milliseconds of pure computation; the loop serves other lanes meanwhile.
            verdict = await self._verdict(key, item, answer.text)
            return self._result(key, position, item, tries).model_copy(
                update={"outcome": verdict.outcome, "reason": verdict.reason, **_measured(answer, seconds)}
            )

    async def _verdict(self, key: RunKey, item: EvalItem, answer: str | None) -> Verdict:
        cosines: dict[Meaning, float] = {}
        asked = list(meanings(item))
        if asked and not (answer or "").strip():
            return Verdict("unparseable", "the model answered without text")
        if asked and answer is not None and len(answer) <= MAX_SCORED:
            try:
                cosines = {one: await self.reader.nearest(key.tenant, answer, one) for one in asked}
            except NotAnswered as exc:
                return Verdict("error", exc.reason)
        return await asyncio.to_thread(score, item, answer, cosines)

    def _error(self, key: RunKey, position: int, item: EvalItem, reason: str, tries: int) -> EvalItemResult:
        return self._result(key, position, item, tries).model_copy(update={"reason": reason})

    def _result(self, key: RunKey, position: int, item: EvalItem, tries: int) -> EvalItemResult:
        return EvalItemResult(
            id=item.id or f"item-{position}",
            run_id=key.run_id,
            position=position,
            scorer=item.scorer.kind,
            outcome="error",
            reason="",
            tries=tries,
            created_at=int(self.clock.now()),
        )

    async def _end(self, key: RunKey, owner: str, error: str | None) -> None:
        status = "failed" if error else "completed"
        if await self.book.finish(key, owner, "failed" if error else "completed", error, self.clock.now()):
            self.metrics.runs.labels(status).inc()
            _log.info("run %s %s%s", key.run_id, status, f": {error}" if error else "")


def _measured(answer: Answer, seconds: float) -> dict[str, object]:
    return {
        "answer": None if answer.text is None else answer.text.replace("\x00", "\ufffd")[:_KEPT],
        "served_model": answer.served_model,
        "finish_reason": answer.finish_reason,
        "request_id": answer.request_id,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "latency_s": seconds,
        "cost_usd": answer.cost_usd,
    }
