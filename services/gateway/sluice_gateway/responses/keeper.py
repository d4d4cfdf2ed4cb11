"""Keeps responses: first in a journal on local disk, then in the database, in rounds behind the requests."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice.ids import time_of
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.domain.conversations import ConversationRows, Said, placed_by, within
from sluice_gateway.domain.errors import ConversationNotFound, JournalUnavailable
from sluice_gateway.domain.responses import Chain, ResponseRows, StoredResponse
from sluice_gateway.usage.journal import Batch, Journal

_log = logging.getLogger(__name__)
_PATIENCE_S = 0.5  # how long the end of an answer waits for the database
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_GOODBYE_S = 2.0
_NEWS_S = 10.0  # so young a response may be on its way from another process
_LOOKS_S = (0.05, 0.2, 0.5)


class _Pending(NamedTuple):
    response: StoredResponse
    written: asyncio.Future[None]


class ResponseKeeper:
    """Takes responses before the last bytes of their answers go out, and writes them in rounds: one transaction for all that came.

    A response is in the journal when `keep` returns, so that it survives `kill -9`, and the next start writes it. While the
    database answers, `keep` waits until it is there as well (half a second at most), so that any process can go on with it at once.
    Degraded mode: while the database is away responses wait in the journal, and this process finds its own; when the journal
    refuses them (its limit, or the disk), they are not kept, and say so.
    """

    def __init__(
        self,
        journal: Journal,
        rows: ResponseRows,
        conversations: ConversationRows,
        clock: Clock,
        registry: MetricRegistry,
        *,
        keep_s: int,
        most_bytes: int,
        most_chain_bytes: int,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._journal = journal
        self._rows = rows
        self._conversations = conversations
        self._clock = clock
        self.keep_s = keep_s
        self.most_bytes = most_bytes
        self._most_chain_bytes = most_chain_bytes
        self._patience_s = patience_s
        self._pending: dict[str, _Pending] = {}
        self._away = False
        self._stored = registry.counter(
            "sluice_gateway_responses_total",
            "Responses that were to be kept, by what became of them (kept, too_large, refused: the journal is full or the disk refuses)",
            ("outcome",),
        )
        waiting = registry.gauge("sluice_gateway_responses_waiting", "Responses that wait for the database", ())
        waiting.set_function(lambda: float(len(self._pending)))

    async def keep(self, response: StoredResponse) -> bool:
        """Keep one; False when the journal refuses it."""
        try:
            self._journal.append(orjson.dumps(response[:]))
        except JournalUnavailable as exc:
            _log.warning("a response is not kept: %s", exc.detail)
            self._stored.labels("refused").inc()
            return False
        self._stored.labels("kept").inc()
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[response.id] = _Pending(response, written)
        if not self._away:
            await asyncio.wait((written,), timeout=self._patience_s)
        return True

    def left_out(self) -> None:
        """Count one that was too large to be kept."""
        self._stored.labels("too_large").inc()

    async def run(self) -> None:
        """Write what comes, round after round, until cancelled."""
        pause = _FIRST_PAUSE_S
        while True:
            await self._journal.wait()
            try:
                await self._write()
            except DependencyUnavailable as exc:
                _log.warning("kept responses cannot be written (%s); they wait in the journal", exc.detail)
                self._away = True
                self._release()
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            else:
                pause = _FIRST_PAUSE_S

    async def close(self) -> None:
        """Write what still waits, as far as that takes little time; the rest stays in the journal for the next start."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._write()
        except (DependencyUnavailable, TimeoutError):
            _log.warning("%d kept responses wait in the journal for the next start", len(self._pending))

    async def chain(self, tenant: str, response_id: str) -> Chain | None:
        """Return a response with those before it; see the port."""
        own, at = self._own(tenant, response_id)
        if own and at is None:
            return self._within(Chain(own, whole=True))
        found = await self._stored_chain(tenant, response_id if at is None else at)
        if found is None:
            return None
        return self._within(Chain([*found.turns, *own], found.whole))

    async def said(self, tenant: str, conversation_id: str) -> Said | None:
        """Return what was said in a conversation; see the port."""
        try:
            found = await self._conversations.said(tenant, conversation_id, self._clock.now(), self._most_chain_bytes)
        except ConversationNotFound:
            return None
        own = [known.response for known in self._pending.values() if known.response.conversation == conversation_id]
        if not own:
            return found
        # what waits here may have been written since it was looked for
        items = {one.place: one for one in found.items} | {one.place: one for each in own for one in placed_by(each)}
        said = within([items[place] for place in sorted(items)], self._most_chain_bytes)
        return said._replace(whole=said.whole and found.whole)

    async def get(self, tenant: str, response_id: str) -> StoredResponse | None:
        """Return one response, None when this tenant has none of this id."""
        known = self._pending.get(response_id)
        if known is not None and known.response.tenant == tenant and known.response.stored:
            return known.response
        found = await self._rows.get(tenant, response_id, self._clock.now())
        if found is None and await self._stored_chain(tenant, response_id) is not None:
            found = await self._rows.get(tenant, response_id, self._clock.now())
        return found

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Delete one, and tell whether there was one.

        Raises:
            DependencyUnavailable: the database is away.
        """
        known = self._pending.get(response_id)
        if known is not None and known.response.tenant == tenant:
            await asyncio.wait((known.written,), timeout=self._patience_s)
            if response_id in self._pending:
                raise DependencyUnavailable("The response is still on its way into the database.")
        return await self._rows.delete(tenant, response_id)

    def _own(self, tenant: str, response_id: str) -> tuple[list[StoredResponse], str | None]:
        # Those that wait here, the oldest first, and the one before them.
        found: list[StoredResponse] = []
        wanted: str | None = response_id
        while wanted is not None and (known := self._pending.get(wanted)) is not None:
            if known.response.tenant != tenant or not known.response.stored:
                break
            found.append(known.response)
            wanted = known.response.previous_id
        return found[::-1], wanted

    def _within(self, chain: Chain) -> Chain:
        size, turns = 0, list(chain.turns)
        for place in range(len(turns) - 1, -1, -1):
            size += turns[place].size
            if size > self._most_chain_bytes and place:
                return Chain(turns[place:], whole=False)
        return chain

    async def _stored_chain(self, tenant: str, response_id: str) -> Chain | None:
        found = await self._rows.chain(tenant, response_id, self._clock.now(), self._most_chain_bytes)
        made_at = time_of(response_id)
        if found is not None or made_at is None or not abs(self._clock.now() - made_at) < _NEWS_S:
            return found
        for pause in _LOOKS_S:
            await asyncio.sleep(pause)
            found = await self._rows.chain(tenant, response_id, self._clock.now(), self._most_chain_bytes)
            if found is not None:
                break
        return found

    async def _write(self) -> None:
        while (batch := self._journal.read()).length:
            responses = _read(batch)
            await self._rows.add(responses)
            self._journal.commit(batch.end)
            self._away = False
            for response in responses:
                known = self._pending.pop(response.id, None)
                if known is not None and not known.written.done():
                    known.written.set_result(None)

    def _release(self) -> None:
        for known in self._pending.values():
            if not known.written.done():
                known.written.set_result(None)


def _read(batch: Batch) -> Sequence[StoredResponse]:
    return [StoredResponse(*fields) for fields in orjson.loads(b"[" + batch.records + b"]")]
