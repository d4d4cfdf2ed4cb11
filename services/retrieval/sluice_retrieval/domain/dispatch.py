"""Telling workers that documents wait."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice_retrieval.domain.library import Waiting

_log = logging.getLogger(__name__)
_PAUSE_S = 0.1
_RETRY_S = 2.0
_MOST = 10_000


class IngestQueue(Protocol):
    """The queue of ingest jobs; `send` raises `DependencyUnavailable` when it is away, and documents wait."""

    async def send(self, waiting: Waiting) -> None:
        """Put a document's job into the queue."""
        ...


class SentRecord(Protocol):
    """Notes which documents workers were told of."""

    async def sent(self, document_ids: Sequence[str], again_at: float) -> None:
        """Note that workers know of documents; they are looked at again at `again_at`."""
        ...


class Dispatch:
    """Tells workers of documents: at once, and then ten times a second at most for all that came meanwhile.

    A worker goes on with whatever waits, so that one message is enough for many documents; a message for each would cost the worker
    more than all the rest it does for a small one. With the queue away documents stay `queued`, and it is told when it is back.
    """

    def __init__(
        self, queue: IngestQueue, record: SentRecord, clock: Clock, resend_s: float, retry_s: float = _RETRY_S
    ) -> None:
        self._retry_s = retry_s
        self._queue = queue
        self._record = record
        self._clock = clock
        self._resend_s = resend_s
        self._waiting: dict[str, Waiting] = {}
        self._asked = asyncio.Event()

    def tell(self, waiting: Waiting) -> None:
        """Have workers told of a document soon; whoever is too many is found by the sweep."""
        if len(self._waiting) < _MOST:
            self._waiting[waiting.document_id] = waiting
        self._asked.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            told, self._waiting = self._waiting, {}
            try:
                await self._queue.send(next(iter(told.values())))
                await self._record.sent(list(told), self._clock.now() + self._resend_s)
            except DependencyUnavailable as exc:
                _log.warning("%d documents wait for the queue: %s", len(told), exc.detail)
                self._waiting = told | self._waiting
                self._asked.set()
                await asyncio.sleep(self._retry_s)
            else:
                await asyncio.sleep(_PAUSE_S)
