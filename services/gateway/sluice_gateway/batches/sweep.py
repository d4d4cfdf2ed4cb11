"""What gateways do beside the path: wake workers for batches that wait, and remove files whose time is over."""

import logging
from dataclasses import dataclass

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice_gateway.batches.metrics import BatchApiMetrics
from sluice_gateway.batches.store import BatchStore
from sluice_gateway.domain.batches import BatchQueue
from sluice_gateway.domain.quotas import QUOTAS
from sluice_gateway.files.shelf import Shelf
from sluice_gateway.quota_store import QuotaStore

_log = logging.getLogger(__name__)
_FILES_EVERY_S = 60.0


@dataclass(slots=True)
class Sweep:
    """One per gateway process; several do no harm, since rows are taken under a lock."""

    batches: BatchStore
    files: Shelf
    quotas: QuotaStore
    queue: BatchQueue
    metrics: BatchApiMetrics
    clock: Clock
    resend_s: float
    _files_at: float = float("-inf")

    async def round(self) -> bool:
        """Look once; True while a batch is open."""
        try:
            if self.clock.monotonic() - self._files_at >= _FILES_EVERY_S:
                self._files_at = self.clock.monotonic()
                self.metrics.removed.inc(await self.files.sweep())
                await self._measure()
            waiting = await self.batches.unfinished()
            self.metrics.open.set(waiting)
            if waiting:
                await self._send()
        except DependencyUnavailable as exc:
            _log.warning("files and batches are not looked at now: %s", exc.detail)
            return True
        return waiting > 0

    async def _measure(self) -> None:
        self.metrics.file_bytes.set(await self.quotas.file_bytes())
        for name in QUOTAS:
            highest = await self.quotas.most_used(quotas=(name,), most=1)
            self.metrics.quota_share.labels(name).set(highest[0].share if highest else 0.0)

    async def _send(self) -> None:
        due = await self.batches.due(self.clock.now(), self.resend_s)
        for number, key in enumerate(due):
            if not await self.queue.send(key):
                await self.batches.put_off(due[number:], self.clock.now() + self.resend_s)
                return
            self.metrics.sent.inc()
