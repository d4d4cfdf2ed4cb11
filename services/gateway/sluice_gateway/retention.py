"""Keeps usage and audit records no longer than the settings say, and transcripts and kept responses no longer than each of them says."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.domain.leases import window_at

_log = logging.getLogger(__name__)
_DAY_S = 86_400
_PAUSE_S = 0.05
Table = Literal["usage", "audit", "secrets", "transcripts", "responses", "conversations"]


class OldRows(Protocol):
    """Where old rows are; raises DependencyUnavailable while it is away."""

    @property
    def batch(self) -> int:
        """How many rows one call deletes at most."""
        ...

    async def delete_usage(self, before: float) -> int:
        """Delete usage records and return how many."""
        ...

    async def delete_audit(self, before: float) -> int:
        """Delete audit records and return how many."""
        ...

    async def delete_retired_secrets(self, now: float) -> int:
        """Delete rotated secrets whose grace is over and return how many."""
        ...

    async def delete_transcripts(self, now: float) -> int:
        """Delete transcripts that have expired and return how many."""
        ...

    async def delete_responses(self, now: float) -> int:
        """Delete kept responses that have expired, or whose organisation is deleted, and return how many."""
        ...

    async def delete_conversations(self, now: float) -> int:
        """Delete conversations that have expired, or whose organisation is deleted, and return how many."""
        ...


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days records are kept; 0 keeps them for ever. Usage of a month stays until it has ended: its budgets are counted from that."""

    usage_days: int
    audit_days: int


class Retention:
    """Deletes what is too old, every `every_s` seconds, in small steps.

    Degraded mode: while the database is away nothing is deleted, and the next round comes as usual. Several workers may
    do it at once: each deletes what it finds.
    """

    def __init__(
        self,
        rows: OldRows,
        keep: Keep,
        clock: Clock,
        registry: MetricRegistry,
        *,
        every_s: float,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._rows = rows
        self._keep = keep
        self._clock = clock
        self._every_s = every_s
        self._pause_s = pause_s
        self._deleted = registry.counter(
            "sluice_gateway_retention_deleted_total",
            "Rows deleted because they were older than they are kept",
            ("table",),
        )

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                await self.delete_old()
            except DependencyUnavailable as exc:
                _log.warning("old records cannot be deleted (%s); the next try is in %.0f s", exc.detail, self._every_s)
            await asyncio.sleep(self._every_s)

    async def delete_old(self) -> None:
        """Delete all that is too old now."""
        now = self._clock.now()
        if self._keep.usage_days:
            before = min(now - self._keep.usage_days * _DAY_S, window_at("month", now).begins)
            await self._delete("usage", self._rows.delete_usage, before)
        if self._keep.audit_days:
            await self._delete("audit", self._rows.delete_audit, now - self._keep.audit_days * _DAY_S)
        await self._delete("secrets", self._rows.delete_retired_secrets, now)
        await self._delete("transcripts", self._rows.delete_transcripts, now)
        await self._delete("responses", self._rows.delete_responses, now)
        await self._delete("conversations", self._rows.delete_conversations, now)

    async def _delete(self, table: Table, delete: Callable[[float], Awaitable[int]], before: float) -> None:
        while True:
            count = await delete(before)
            self._deleted.labels(table=table).inc(count)
            if count < self._rows.batch:
                return
            await asyncio.sleep(self._pause_s)
