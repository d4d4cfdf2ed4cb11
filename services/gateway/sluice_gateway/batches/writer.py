"""Writes answers durably, several in one transaction when they come at once."""

import asyncio
import logging

from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.batches import BatchBook, BatchKey, LineAnswer

_log = logging.getLogger(__name__)
_MOST = 50
_MOST_CHARACTERS = 4 * 1024 * 1024
_PAUSE_S = 1.0


class AnswerWriter:
    """Takes answers of one batch; `put` returns when the answer is in the database.

    Degraded mode: while the database is away answers wait here, and the lanes with them, until it is back or the batch is lost.
    """

    def __init__(self, book: BatchBook, key: BatchKey, owner: str) -> None:
        self._book = book
        self._key = key
        self._owner = owner
        self._waiting: asyncio.Queue[tuple[LineAnswer, asyncio.Future[None]]] = asyncio.Queue()

    async def put(self, answer: LineAnswer) -> None:
        """Keep an answer.

        Raises:
            BatchLost: the batch is no longer this worker's.
        """
        kept = asyncio.get_running_loop().create_future()
        await self._waiting.put((answer, kept))
        await kept

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            group = [await self._waiting.get()]
            size = len(group[0][0].text)
            while len(group) < _MOST and size < _MOST_CHARACTERS and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
                size += len(group[-1][0].text)
            try:
                await self._write([answer for answer, _ in group])
            except Exception as exc:  # noqa: BLE001 - whatever it is, those who wait for it shall raise it
                for _, kept in group:
                    if not kept.done():
                        kept.set_exception(exc)
            else:
                for _, kept in group:
                    if not kept.done():
                        kept.set_result(None)

    async def _write(self, answers: list[LineAnswer]) -> None:
        while True:
            try:
                await self._book.write(self._key, self._owner, answers)
            except DependencyUnavailable as exc:
                _log.warning("batch %s: %d answers wait: %s", self._key.batch_id, len(answers), exc.detail)
                await asyncio.sleep(_PAUSE_S)
            else:
                return
