"""Does responses in the background: a worker takes those that wait and asks the gateway for each, as the key that ordered it.

The rows are the queue: a worker looks at them by itself, so that none waits for Redis, or behind batches that hold the tasks of Celery.
Killed at any point, the next worker asks what has no answer yet.
"""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import orjson

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.background import (
    ENDPOINT,
    BackgroundBook,
    BackgroundWork,
    Json,
    answered,
    failed,
    pause_after_refusal,
    refused,
)
from sluice_gateway.domain.batches import BatchTarget, KeyCheck, KeyRefused, NotAnswered
from sluice_gateway.responses.background_metrics import BackgroundMetrics

_log = logging.getLogger(__name__)
_KEY_REST_S = 1.0
_WRITE_AGAIN_S = 1.0
_HOLDS_OF_A_LEASE = 4
_LOST_KEY = "The API key that asked was revoked, disabled or has expired."
_TOO_OLD = (
    "No answer could be begun within the time that responses wait in the background (SLUICE_GATEWAY_BACKGROUND_WAIT_S)."
)
_TOO_LARGE = "The answer is too large to be kept (SLUICE_GATEWAY_RESPONSES_MAX_BYTES)."


@dataclass(frozen=True, slots=True)
class BackgroundLimits:
    """Requests at once; seconds between looks, of a lease, for one request, before another try and for those under way when the
    worker stops; tries of one that breaks; bytes of a response with its input; seconds for which it is kept."""

    lanes: int
    look_s: float
    lease_s: float
    request_s: float
    first_pause_s: float
    grace_s: float
    max_tries: int
    most_bytes: int
    keep_s: int


@dataclass(slots=True)
class _Hand:
    tenant: str
    task: asyncio.Task[None]
    writing: bool = False


@dataclass(slots=True)
class BackgroundRunner:
    """Does the responses of one worker process; one tenant has half of its lanes at most."""

    book: BackgroundBook
    target: BatchTarget
    keys: KeyCheck
    clock: Clock
    metrics: BackgroundMetrics
    limits: BackgroundLimits
    owner: str
    _hands: dict[str, _Hand] = field(default_factory=dict)
    _left: asyncio.Event = field(default_factory=asyncio.Event)
    _held_at: float = float("-inf")

    async def run(self) -> None:
        """Look and begin, round after round, until cancelled."""
        while True:
            self._left.clear()
            try:
                await self._round()
            except DependencyUnavailable as exc:
                _log.warning("responses in the background are not looked at now: %s", exc.detail)
                await asyncio.sleep(self.limits.look_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.limits.look_s):
                    await self._left.wait()

    async def close(self) -> None:
        """Let requests under way end for a while, and give back the others."""
        tasks = {hand.task for hand in self._hands.values()}
        if tasks:
            await asyncio.wait(tasks, timeout=self.limits.grace_s)
        left = list(self._hands)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(DependencyUnavailable):  # then the leases run out by themselves
            for response_id in left:
                await self.book.release(response_id, self.owner, self.clock.now())

    async def _round(self) -> None:
        if self._hands:
            await self._drop_lost()
        if self.clock.monotonic() - self._held_at >= self.limits.lease_s / _HOLDS_OF_A_LEASE:
            if self._hands:
                await self.book.hold(self.owner, self.clock.now() + self.limits.lease_s)
            self.metrics.unfinished.set(await self.book.unfinished())
            self._held_at = self.clock.monotonic()
        if len(self._hands) < self.limits.lanes:
            await self._take_more()

    async def _drop_lost(self) -> None:
        # What was cancelled, deleted or taken over is asked no further: its connection is closed.
        before = dict(self._hands)
        held = await self.book.held(self.owner)
        for response_id, hand in before.items():
            if response_id not in held and not hand.writing:
                hand.task.cancel()

    async def _take_more(self) -> None:
        most = max(1, self.limits.lanes // 2)
        of = Counter(hand.tenant for hand in self._hands.values())
        full = [tenant for tenant, count in of.items() if count >= most]
        for found in await self.book.due(self.clock.now(), self.limits.lanes, full):
            if len(self._hands) >= self.limits.lanes:
                return
            if of[found.tenant] >= most or found.id in self._hands:
                continue
            work = await self.book.take(found.id, self.owner, self.clock.now(), self.limits.lease_s)
            if work is not None:
                of[found.tenant] += 1
                self._begin(work)

    def _begin(self, work: BackgroundWork) -> None:
        task = asyncio.create_task(self._do(work))
        self._hands[work.id] = _Hand(work.on_behalf.tenant, task)
        self.metrics.under_way.set(len(self._hands))
        task.add_done_callback(lambda _: self._over(work.id))

    def _over(self, response_id: str) -> None:
        task = self._hands.pop(response_id).task
        self.metrics.under_way.set(len(self._hands))
        self._left.set()
        if not task.cancelled() and (mistake := task.exception()) is not None:
            _log.error("a response in the background failed; its lease runs out", exc_info=mistake)

    async def _do(self, work: BackgroundWork) -> None:
        if self.clock.now() >= work.expires_at:
            await self._finish(work, failed(work.response, "background_expired", _TOO_OLD))
            return
        ended = await self._asked(work)
        if ended is not None:
            await self._finish(work, ended)

    async def _asked(self, work: BackgroundWork) -> Json | None:
        # None gives the response back, to be asked later.
        broken = 0
        while True:
            began = self.clock.monotonic()
            try:
                said = await self.target.ask(work.on_behalf, ENDPOINT, work.body, self.limits.request_s, work.headers)
                return answered(work.response, said, self.clock.now())
            except KeyRefused:
                if not await self.keys.works(work.on_behalf):
                    return failed(work.response, "invalid_api_key", _LOST_KEY)
                self.metrics.retries.labels("key").inc()
                await self._release(work, _KEY_REST_S)
                return None
            except NotAnswered as exc:
                if exc.busy and not exc.spent:
                    self.metrics.retries.labels("busy").inc()
                    waits_s = self.clock.now() - work.created_at
                    await self._release(work, pause_after_refusal(waits_s, exc.after_s))
                    return None
                if exc.too_large:
                    return failed(work.response, "response_too_large", exc.reason)
                broken += 1
                late = self.clock.monotonic() - began >= self.limits.request_s
                if exc.spent or late or broken >= self.limits.max_tries:
                    return refused(work.response, exc.said, exc.reason)
                self.metrics.retries.labels("broken").inc()
            await asyncio.sleep(self.limits.first_pause_s * 2.0 ** (broken - 1))

    async def _release(self, work: BackgroundWork, rest_s: float) -> None:
        with suppress(DependencyUnavailable):  # then its lease runs out by itself
            await self.book.release(work.id, self.owner, self.clock.now() + rest_s)

    async def _finish(self, work: BackgroundWork, ended: Json) -> None:
        if work.input_size + _size(ended) > self.limits.most_bytes:
            ended = failed(work.response, "response_too_large", _TOO_LARGE)
        self._hands[work.id].writing = True
        while True:
            now = self.clock.now()
            try:
                written = await self.book.finish(work, self.owner, ended, now, self.limits.keep_s)
                break
            except DependencyUnavailable as exc:
                _log.warning("response %s waits for the database: %s", work.id, exc.detail)
                await asyncio.sleep(_WRITE_AGAIN_S)
        if written:
            self.metrics.ended.labels(ended["status"]).inc()
            self.metrics.seconds.observe(max(0.0, now - work.created_at))


def _size(response: Json) -> int:
    return len(orjson.dumps(response).decode())
