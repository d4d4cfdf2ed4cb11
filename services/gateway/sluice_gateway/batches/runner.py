"""Takes batches from state to state; killed at any point, the next worker goes on with what has no answer yet."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sluice.blobs import BlobMissing
from sluice.clock import Clock
from sluice.contracts.batches import BatchError
from sluice.errors import DependencyUnavailable
from sluice_gateway.batches.asker import BatchAsker
from sluice_gateway.batches.files import BatchPapers
from sluice_gateway.batches.gate import Stop
from sluice_gateway.batches.metrics import BatchWorkerMetrics
from sluice_gateway.domain.batch_lines import InputCheck
from sluice_gateway.domain.batches import BatchBook, BatchKey, Outcome, Work
from sluice_gateway.domain.file_errors import BatchLost

_log = logging.getLogger(__name__)
_REST_S = 10.0
_GIVE_WAY_S = 2.0
_OUTCOMES: dict[str | None, Outcome] = {
    None: "completed",
    "cancelled": "cancelled",
    "expired": "expired",
    "key_refused": "failed",
}
_KEY_REFUSED = BatchError(
    code="api_key_refused",
    message="The API key that made the batch was revoked, disabled or has expired. What was answered before is in the files.",
)


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How long a worker holds a batch without a sign of life, how long it stays with one while others wait (seconds), how many of
    one tenant it has in hand while others' wait, and what an input may hold."""

    lease_s: float
    turn_s: float
    most_of_one: int
    max_lines: int
    max_line_bytes: int


@dataclass(slots=True)
class BatchRunner:
    """Does the batches of one worker process."""

    book: BatchBook
    papers: BatchPapers
    asker: BatchAsker
    clock: Clock
    metrics: BatchWorkerMetrics
    limits: RunLimits
    new_owner: Callable[[], str]
    _stops: set[Stop] = field(default_factory=set)
    _of: Counter[str] = field(default_factory=Counter)  # batches in hand, by tenant
    _stopping: bool = False

    def stop(self) -> None:
        """Have all batches given back: requests under way may end for a while, no more are begun."""
        self._stopping = True
        for stop in self._stops:
            stop.tell("stopping")

    async def run(self, key: BatchKey) -> None:
        """Do what is left of a batch; one that another worker holds, or that has ended, is left alone."""
        if self._stopping:
            return
        owner = self.new_owner()
        work = await self.book.take(key, owner, self.clock.now(), self.limits.lease_s)
        if work is None:
            return
        if self._of[key.tenant] >= self.limits.most_of_one and await self.book.others_wait(key.tenant):
            await self._release(key, owner, _GIVE_WAY_S)
            return
        stop = Stop()
        self._stops.add(stop)
        self._of[key.tenant] += 1
        self.metrics.running.inc()
        keeper = asyncio.create_task(self._keep(key, owner, stop))
        expiry = asyncio.get_running_loop().call_later(
            max(0.0, work.expires_at - self.clock.now()), stop.tell, "expired"
        )
        try:
            await self._advance(work, owner, stop)
        except BatchLost:
            _log.info("batch %s was taken over by another worker", key.batch_id)
        except DependencyUnavailable as exc:
            _log.warning("batch %s rests for a while: %s", key.batch_id, exc.detail)
            await self._release(key, owner, _REST_S)
        finally:
            expiry.cancel()
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            self._stops.discard(stop)
            self._of[key.tenant] -= 1
            self.metrics.running.dec()

    async def _advance(self, work: Work, owner: str, stop: Stop) -> None:
        if work.status == "cancelling":
            stop.tell("cancelled")
        if work.status == "validating":
            checked = await self._validate(work, owner, stop)
            if not checked:
                return
        if work.outcome is None and work.status in ("validating", "in_progress"):
            await self.asker.ask_all(work, owner, stop)
        if stop.why in ("turn", "stopping"):
            await self._release(work.key, owner)
        elif stop.why != "lost":
            errors = (_KEY_REFUSED,) if stop.why == "key_refused" else ()
            await self._finish(work, owner, work.outcome or _OUTCOMES[stop.why], errors)

    async def _validate(self, work: Work, owner: str, stop: Stop) -> bool:
        check = InputCheck(work.endpoint, self.limits.max_lines, self.limits.max_line_bytes)
        try:
            async for line in self.papers.lines(work, self.limits.max_line_bytes):
                if stop.why in ("lost", "stopping") or not check.take(line):
                    break
        except BlobMissing as exc:
            await self._reject(work, owner, [BatchError(code=exc.code, message=exc.detail, param="input_file_id")])
            return False
        if stop.why in ("lost", "stopping"):
            await self._release(work.key, owner)
            return False
        mistakes = check.mistakes()
        if mistakes:
            await self._reject(work, owner, mistakes)
            return False
        await self.book.begin(work.key, owner, check.found(), self.clock.now())
        return True

    async def _reject(self, work: Work, owner: str, errors: Sequence[BatchError]) -> None:
        await self.book.reject(work.key, owner, errors, self.clock.now())
        self.metrics.ended.labels("failed").inc()

    async def _finish(self, work: Work, owner: str, outcome: Outcome, errors: Sequence[BatchError]) -> None:
        closed = await self.book.close(work.key, owner, outcome, errors, self.clock.now())
        files = await self.papers.write(closed, await self.book.answered(work.key))
        await self.book.finish(work.key, owner, files, self.clock.now())
        self.metrics.ended.labels(closed.outcome or outcome).inc()
        _log.info("batch %s ended: %s", work.key.batch_id, closed.outcome)

    async def _release(self, key: BatchKey, owner: str, rest_s: float = 0.0) -> None:
        # Without the database the lease runs out by itself.
        with suppress(DependencyUnavailable):
            await self.book.release(key, owner, self.clock.now() + rest_s)

    async def _keep(self, key: BatchKey, owner: str, stop: Stop) -> None:
        """Keep the lease, and learn by the way what the batch's owner wants, and whether others wait for their turn."""
        taken = self.clock.monotonic()
        while True:
            await asyncio.sleep(self.limits.lease_s / 4)
            try:
                held = await self.book.hold(key, owner, self.clock.now() + self.limits.lease_s)
                if held == "lost":
                    stop.tell("lost")
                elif held == "cancelling":
                    stop.tell("cancelled")
                elif self.clock.monotonic() - taken > self.limits.turn_s and await self.book.others_wait():
                    stop.tell("turn")
            except DependencyUnavailable as exc:
                _log.warning("batch %s: the lease cannot be kept now: %s", key.batch_id, exc.detail)
