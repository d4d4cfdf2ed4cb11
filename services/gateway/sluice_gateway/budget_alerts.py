"""Tells a webhook when so much of a budget is spent."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from sluice.clients.egress import proxy_for
from sluice.clock import Clock
from sluice.contracts.budgets import Budget, BudgetAlert
from sluice.errors import DependencyUnavailable
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.domain.budgets import alerts

_log = logging.getLogger(__name__)
_SEND_S = 10.0


class Budgets(Protocol):
    """Where budgets are; raises DependencyUnavailable while it is away."""

    async def most_used(self, now: float, *, min_share: float) -> list[Budget]:
        """Return the budgets of which at least this share is spent."""
        ...

    async def take(self, wanted: Iterable[BudgetAlert], now: float) -> list[BudgetAlert]:
        """Return the alerts that this worker is to send."""
        ...

    async def sent(self, alert: BudgetAlert, now: float) -> None:
        """Note that an alert has arrived."""
        ...


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where alerts go, and from which shares of a budget on; `secret` signs them (`x-sluice-signature`), empty signs nothing."""

    url: str
    secret: str
    thresholds: tuple[float, ...]


class BudgetAlerts:
    """Looks at all budgets every `every_s` seconds and sends each alert until it has arrived.

    Degraded mode: while the database or the webhook is away nothing is lost, and a later round sends it; of a budget that has
    reached several thresholds meanwhile the highest. An alert whose worker is killed after sending it may come twice: its `id` says so.
    """

    def __init__(
        self,
        budgets: Budgets,
        webhook: Webhook,
        session: aiohttp.ClientSession,
        clock: Clock,
        registry: MetricRegistry,
        *,
        every_s: float,
    ) -> None:
        self._budgets = budgets
        self._webhook = webhook
        self._session = session
        self._clock = clock
        self._every_s = every_s
        self._outcomes = registry.counter(
            "sluice_gateway_budget_alerts_total", "Alerts of budgets by outcome (sent, failed)", ("outcome",)
        )

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                await self.look()
            except DependencyUnavailable as exc:
                _log.warning("budgets cannot be looked at (%s); the next try is in %.0f s", exc.detail, self._every_s)
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Send what is to be told now."""
        now = self._clock.now()
        thresholds = self._webhook.thresholds
        wanted = list(alerts(await self._budgets.most_used(now, min_share=min(thresholds)), thresholds))
        for alert in await self._budgets.take(wanted, now) if wanted else ():
            if await self._send(alert):
                await self._budgets.sent(alert, self._clock.now())

    async def _send(self, alert: BudgetAlert) -> bool:
        body = alert.model_dump_json().encode()
        headers = {"content-type": "application/json"}
        if self._webhook.secret:
            headers["x-sluice-signature"] = (
                "sha256=" + hmac.digest(self._webhook.secret.encode(), body, hashlib.sha256).hex()
            )
        try:
            async with self._session.post(
                self._webhook.url,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_SEND_S),
                allow_redirects=False,
                proxy=proxy_for(self._webhook.url),
            ) as answer:
                arrived = 200 <= answer.status < 300
                why = f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            arrived, why = False, type(exc).__name__
        self._outcomes.labels("sent" if arrived else "failed").inc()
        if not arrived:
            _log.warning("the alert %s did not reach the webhook (%s); it is sent again", alert.id, why)
        return arrived
