"""Transcripts on their way into the database: masked and written behind the requests."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable, SluiceError
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.domain.transcripts import Redactor, Text, Transcript, TranscriptRows, replaced, texts_in

_log = logging.getLogger(__name__)
_WAITING_BYTES = 64 * 1024 * 1024
_AT_ONCE = 100
_LINGER_S = 0.2
_REST_S = 2.0
_PATIENCE_S = 300.0
_GOODBYE_S = 5.0


class TranscriptWriter:
    """Takes transcripts and writes them in rounds; those that are to be masked go to the guardrail first.

    Up to 64 MiB wait in memory. Degraded mode: while the guardrail or the database is away they wait; what finds no room, and
    what the guardrail has not looked through five minutes after its request, is dropped and counted, never stored unmasked.
    """

    def __init__(self, rows: TranscriptRows, redactor: Redactor, clock: Clock, registry: MetricRegistry) -> None:
        self._rows = rows
        self._redactor = redactor
        self._clock = clock
        self._waiting: deque[Transcript] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self._stored = registry.counter("sluice_gateway_transcripts_stored_total", "Transcripts that were stored.", ())
        self._dropped = registry.counter(
            "sluice_gateway_transcripts_dropped_total",
            "Transcripts that were not stored, by reason (full: too many waited; unmasked: the guardrail could not look through them).",
            ("reason",),
        )

    def keep(self, transcript: Transcript) -> None:
        """Take one, for the next round."""
        if self._bytes + transcript.size > _WAITING_BYTES:
            self._dropped.labels(reason="full").inc()
            return
        self._bytes += transcript.size
        self._waiting.append(transcript)
        self._more.set()

    async def run(self) -> None:
        """Write what waits, round after round, until cancelled."""
        while True:
            if not self._waiting:
                self._more.clear()
                await self._more.wait()
            try:
                await self.write()
            except DependencyUnavailable as exc:
                _log.warning("transcripts cannot be written (%s); they wait", exc.detail)
                await asyncio.sleep(_REST_S)
            await asyncio.sleep(_LINGER_S)

    async def write(self) -> None:
        """Write what waits.

        Raises:
            DependencyUnavailable: the database or the guardrail is away; what was not written waits.
        """
        while self._waiting:
            batch = [self._waiting[place] for place in range(min(_AT_ONCE, len(self._waiting)))]
            ready = [masked for one in batch if (masked := await self._masked(one)) is not None]
            if ready:
                await self._rows.add(ready)
                self._stored.inc(len(ready))
            for one in batch:
                self._waiting.popleft()
                self._bytes -= one.size

    async def close(self) -> None:
        """Write what still waits, as far as that takes little time."""
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self.write()
        except (DependencyUnavailable, TimeoutError):
            _log.warning("%d transcripts could not be written at the end", len(self._waiting))

    async def _masked(self, transcript: Transcript) -> Transcript | None:
        if transcript.redact is None:
            return transcript
        contents = {"request": transcript.request, "answer": transcript.answer}
        found = list(texts_in(contents))
        try:
            new = await self._redactor.masked([one.text for one in found], transcript.redact, transcript.tenant)
        except SluiceError as exc:
            late = self._clock.now() - transcript.at > _PATIENCE_S
            if isinstance(exc, DependencyUnavailable) and not late:
                raise
            self._dropped.labels(reason="unmasked").inc()
            return None
        said = replaced(contents, _changed(found, new))
        return transcript.with_contents(said["request"], said["answer"])


def _changed(found: Sequence[Text], new: Sequence[str]) -> dict[tuple[str | int, ...], str]:
    return {one.path: text for one, text in zip(found, new, strict=True) if text != one.text}
